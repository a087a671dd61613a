#include "tensorquant/models/resnet.h"

#include <cmath>
#include <utility>

namespace tensorquant {
namespace {

nn::Conv2d conv3x3(std::int64_t in, std::int64_t out) {
  const std::int64_t stride = in != out && in != 3 ? 2 : 1;
  return nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).stride(stride).padding(1).bias(false));
}

nn::Sequential stage(int blocks, std::int64_t in_channels, std::int64_t channels) {
  nn::Sequential stage;
  for (int i = 0; i < blocks; ++i) {
    stage->push_back(ResNetBlock(i == 0 ? in_channels : channels, channels));
  }
  return stage;
}

}  // namespace

at::Tensor detail::PadShortcutImpl::forward(const at::Tensor& x) {
  using torch::indexing::None;
  using torch::indexing::Slice;
  const std::int64_t half = x.size(1) / 2;
  return at::constant_pad_nd(
      x.index({Slice(), Slice(), Slice(None, None, 2), Slice(None, None, 2)}),
      {0, 0, 0, 0, half, half});
}

void ResNetBlockImpl::reset() {
  conv1 = register_module("conv1", conv3x3(in_channels_, channels_));
  bn1 = register_module("bn1", nn::BatchNorm2d(channels_));
  relu1 = register_module("relu1", nn::ReLU());
  conv2 = register_module("conv2", conv3x3(channels_, channels_));
  bn2 = register_module("bn2", nn::BatchNorm2d(channels_));
  if (in_channels_ != channels_) shortcut = register_module("shortcut", PadShortcut());
  add = register_module("add", nn::Add());
  relu2 = register_module("relu2", nn::ReLU());
}

at::Tensor ResNetBlockImpl::forward(at::Tensor x) {
  at::Tensor y = relu1(bn1(conv1(x)));
  y = bn2(conv2(y));
  if (shortcut) x = shortcut(x);
  return relu2(add(y, x));
}

ResNet::ResNet(int depth) : depth_(depth) {
  const int blocks = (depth - 2) / 6;
  input = register_module("input", nn::Identity());
  conv1 = register_module("conv1", conv3x3(3, 16));
  bn1 = register_module("bn1", nn::BatchNorm2d(16));
  relu = register_module("relu", nn::ReLU());
  layer1 = register_module("layer1", stage(blocks, 16, 16));
  layer2 = register_module("layer2", stage(blocks, 16, 32));
  layer3 = register_module("layer3", stage(blocks, 32, 64));
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(1));
  flatten = register_module("flatten", nn::Flatten());
  linear = register_module("linear", nn::Linear(64, 10));
}

std::vector<ImageClassifier::Stage> ResNet::stages() {
  std::vector<Stage> stages = {
      [this](at::Tensor x) { return relu(bn1(conv1(input(std::move(x))))); }};
  for (nn::Sequential blocks : {layer1, layer2, layer3}) {
    for (auto& block : *blocks) {
      stages.emplace_back(
          [&block](at::Tensor x) { return block.forward<at::Tensor>(std::move(x)); });
    }
  }
  stages.emplace_back([this](at::Tensor x) { return linear(flatten(avgpool(std::move(x)))); });
  return stages;
}

// Normal with variance 2 / inputs (K. He et al., "Delving Deep into Rectifiers", 2015); the batch
// norms start as the identity.
void ResNet::initialize(at::Generator generator) {
  const at::NoGradGuard no_grad;
  for (const auto& item : named_parameters()) {
    at::Tensor parameter = item.value();
    if (parameter.dim() > 1) {
      parameter.normal_(0, std::sqrt(2.0 / static_cast<double>(parameter[0].numel())), generator);
    } else if (item.key() == "linear.bias") {
      parameter.zero_();
    }
  }
}

}  // namespace tensorquant
