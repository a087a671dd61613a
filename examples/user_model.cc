// A model of your own: written once, run as plain libtorch or quantized.

#include <iostream>

#include "tensorquant/libtorch/libtorch.h"

namespace app {

namespace nn =
    tensorquant::nn;  // the only line that differs from plain libtorch: namespace nn = torch::nn

struct Net : torch::nn::Module {
  Net() {
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(1, 8, 3).padding(1)));
    relu = register_module("relu", nn::ReLU());
    fc = register_module("fc", nn::Linear(8 * 8 * 8, 10));
  }
  at::Tensor forward(const at::Tensor& x) { return fc(relu(conv(x)).flatten(1)); }

  nn::Conv2d conv = nullptr;
  nn::ReLU relu = nullptr;
  nn::Linear fc = nullptr;
};

}  // namespace app

int main() {
  torch::manual_seed(1);
  const auto net = std::make_shared<app::Net>();
  const at::Tensor images = torch::rand({16, 1, 8, 8});
  const at::Tensor labels = torch::randint(10, {16}, torch::kLong);
  const at::Tensor before = net->forward(images);

  tensorquant::Override maps;
  maps.weights = tensorquant::QuantizerMap({{"conv", "nearest,8,6"}, {"fc", "ternary,0.1"}});
  maps.extrinsic =
      tensorquant::QuantizerMap({{"relu", "nearest,8,5"}}, tensorquant::MapKind::extrinsic);
  tensorquant::apply(net, maps);
  std::cout << tensorquant::to_table(tensorquant::summary(net));

  // The parameters stay float; the gradients go through the quantizers to them.
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  for (int step = 0; step < 20; ++step) {
    optimizer.zero_grad();
    const at::Tensor loss = torch::nn::functional::cross_entropy(net->forward(images), labels);
    loss.backward();
    optimizer.step();
    if (step % 19 == 0) std::cout << "step " << step << ", loss " << loss.item<float>() << "\n";
  }

  tensorquant::strip(net);
  std::cout << "float again: outputs moved by training alone, "
            << (net->forward(images) - before).abs().max().item<float>() << " at most\n";
}
