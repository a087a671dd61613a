// What a user of libtorch writes.
#include <cstdio>

#include "tensorquant/libtorch/libtorch.h"

namespace app {
namespace nn = tensorquant::nn;
}

int main() {
  torch::manual_seed(1);
  app::nn::Sequential model(app::nn::Linear(4, 3), app::nn::ReLU());
  const at::Tensor x = torch::ones({2, 4});
  tensorquant::Override maps;
  maps.weights = tensorquant::QuantizerMap({{"0", "binary"}});
  tensorquant::apply(model, maps);
  // Four weights of +1 or -1 and a bias of +1 or -1 add up to an odd integer.
  const at::Tensor y = model->forward(x);
  const at::Tensor positive = y.masked_select(y > 0);
  const bool is_odd = torch::equal(torch::remainder(positive, 2), torch::ones_like(positive));
  std::printf("%s\n", is_odd ? "quantized" : "not quantized");
  return is_odd ? 0 : 1;
}
