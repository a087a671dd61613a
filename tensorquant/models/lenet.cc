#include "tensorquant/models/lenet.h"

#include <cmath>
#include <utility>

namespace tensorquant {
namespace {

torch::nn::Conv2dOptions conv(std::int64_t in, std::int64_t out, std::int64_t padding) {
  return torch::nn::Conv2dOptions(in, out, 5).padding(padding);
}

// Keras' glorot_uniform: uniform in +-sqrt(6 / (inputs + outputs)), each times the filter's taps
// (X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
// networks", 2010). Biases are 0.
void glorot_uniform(torch::nn::Module& model, at::Generator generator) {
  const at::NoGradGuard no_grad;
  for (at::Tensor& parameter : model.parameters()) {
    if (parameter.dim() == 1) {
      parameter.zero_();
      continue;
    }
    const std::int64_t taps = parameter[0][0].numel();
    const double limit =
        std::sqrt(6.0 / static_cast<double>((parameter.size(0) + parameter.size(1)) * taps));
    parameter.uniform_(-limit, limit, generator);
  }
}

}  // namespace

LeNet::LeNet() {
  input = register_module("input", nn::Identity());
  conv1 = register_module("Conv1", Conv2dRelu(conv(1, 20, 2)));
  pool1 = register_module("MaxPool1", nn::MaxPool2d(2));
  conv2 = register_module("Conv2", Conv2dRelu(conv(20, 50, 2)));
  pool2 = register_module("MaxPool2", nn::MaxPool2d(2));
  flatten = register_module("Flatten", nn::Flatten());
  dense3 = register_module("Dense3", DenseRelu(50, 7, 7, 500));
  dense4 = register_module("Dense4", nn::Linear(500, 10));
}

std::vector<ImageClassifier::Stage> LeNet::stages() {
  return {[this](at::Tensor x) { return pool1(conv1(input(std::move(x)))); },
          [this](at::Tensor x) { return pool2(conv2(std::move(x))); },
          [this](at::Tensor x) { return dense3(flatten(std::move(x))); },
          [this](at::Tensor x) { return dense4(std::move(x)); }};
}

void LeNet::initialize(at::Generator generator) { glorot_uniform(*this, std::move(generator)); }

LeNet5::LeNet5() {
  input = register_module("input", nn::Identity());
  conv1 = register_module("conv1", nn::Conv2d(conv(1, 6, 2)));
  relu1 = register_module("relu1", nn::ReLU());
  pool1 = register_module("pool1", nn::MaxPool2d(2));
  conv2 = register_module("conv2", nn::Conv2d(conv(6, 16, 0)));
  relu2 = register_module("relu2", nn::ReLU());
  pool2 = register_module("pool2", nn::MaxPool2d(2));
  conv3 = register_module("conv3", nn::Conv2d(conv(16, 120, 0)));
  relu3 = register_module("relu3", nn::ReLU());
  flatten = register_module("flatten", nn::Flatten());
  fc1 = register_module("fc1", nn::Linear(120, 84));
  relu4 = register_module("relu4", nn::ReLU());
  fc2 = register_module("fc2", nn::Linear(84, 10));
}

std::vector<ImageClassifier::Stage> LeNet5::stages() {
  return {[this](at::Tensor x) { return pool1(relu1(conv1(input(std::move(x))))); },
          [this](at::Tensor x) { return pool2(relu2(conv2(std::move(x)))); },
          [this](at::Tensor x) { return flatten(relu3(conv3(std::move(x)))); },
          [this](at::Tensor x) { return fc2(relu4(fc1(std::move(x)))); }};
}

void LeNet5::initialize(at::Generator generator) { glorot_uniform(*this, std::move(generator)); }

}  // namespace tensorquant
