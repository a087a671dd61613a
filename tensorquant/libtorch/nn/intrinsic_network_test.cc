// A network whose arithmetic is rounded everywhere has the bits of the other front-ends.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/nn/nn.h"

namespace tensorquant {
namespace {

using json = nlohmann::ordered_json;  // the order of rules counts

struct IntrinsicNetworkImpl : torch::nn::Module {
  explicit IntrinsicNetworkImpl(bool needs_weights) : needs_weights(needs_weights) {}

  bool needs_weights;  // of attention
  nn::Conv2d conv =
      register_module("conv", nn::Conv2d(torch::nn::Conv2dOptions(2, 8, 3).padding(1)));
  nn::BatchNorm2d bn = register_module("bn", nn::BatchNorm2d(8));
  nn::LayerNorm norm = register_module("norm", nn::LayerNorm(torch::nn::LayerNormOptions({8})));
  nn::GELU gelu = register_module("gelu", nn::GELU());
  nn::MultiheadAttention attention = register_module("attention", nn::MultiheadAttention(8, 2));
  nn::Linear fc = register_module("fc", nn::Linear(8, 4));
  nn::Softmax softmax = register_module("softmax", nn::Softmax(-1));

  torch::Tensor forward(torch::Tensor x) {
    x = bn(conv(x)).flatten(2).permute({2, 0, 1});  // (places, batch, channels)
    x = gelu(norm(x));
    x = std::get<0>(attention->forward(x, x, x, {}, needs_weights));
    return softmax(fc(x));
  }
};
TORCH_MODULE(IntrinsicNetwork);

json golden_network() {
  std::ifstream file(std::string(TENSORQUANT_SOURCE_DIR) +
                     "/tests/golden/intrinsic_network/network.json");
  return json::parse(file);
}

torch::Tensor stored(const json& network, const std::string& name) {
  const auto numbers = network["sixty_fourths"][name].get<std::vector<float>>();
  return torch::tensor(numbers).reshape(network["shapes"][name].get<std::vector<std::int64_t>>()) /
         64;
}

std::string bytes_in_hex(const torch::Tensor& x) {
  const torch::Tensor ordered = x.contiguous();
  std::string text;
  for (const auto byte :
       std::span(static_cast<const unsigned char*>(ordered.data_ptr()), ordered.nbytes())) {
    constexpr const char* kDigits = "0123456789abcdef";
    text += {kDigits[byte / 16], kDigits[byte % 16]};
  }
  return text;
}

TEST(IntrinsicNetwork, HasTheGoldenBits) {
  const json network = golden_network();
  const torch::NoGradGuard no_gradients;
  ASSERT_EQ(network["maps"].size(), 6U);
  for (const auto& [name, entry] : network["maps"].items()) {
    json maps = entry;
    maps.erase("seed");
    Override override = Override::from_json(maps.dump());
    override.seed = entry.value("seed", override.seed);
    IntrinsicNetwork model(network["with_weights"][name].get<bool>());
    for (auto& tensor : model->named_parameters()) {
      tensor.value().copy_(stored(network, tensor.key()));
    }
    for (auto& tensor : model->named_buffers()) {
      if (tensor.value().is_floating_point()) tensor.value().copy_(stored(network, tensor.key()));
    }
    model->eval();
    const ApplyReport report = apply(model, override);
    EXPECT_TRUE(report.warnings.empty()) << name;
    const torch::Tensor y = model->forward(report.input(stored(network, "x")));
    EXPECT_EQ(bytes_in_hex(y), network["y"][name].get<std::string>()) << name;
  }
}

}  // namespace
}  // namespace tensorquant
