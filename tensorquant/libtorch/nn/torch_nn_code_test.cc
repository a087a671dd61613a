// Code written for torch::nn compiles and does the same with tensorquant::nn.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/libtorch/tensors/test_quantizers.h"

namespace with_libtorch {
namespace nn = torch::nn;
#define TORCH_NN_CODE Libtorch
#include "tensorquant/libtorch/nn/torch_nn_code.inc"
#undef TORCH_NN_CODE
}  // namespace with_libtorch

namespace with_tensorquant {
namespace nn = tensorquant::nn;
#define TORCH_NN_CODE Twins
#include "tensorquant/libtorch/nn/torch_nn_code.inc"
#undef TORCH_NN_CODE
}  // namespace with_tensorquant

namespace tensorquant {
namespace {

using torch::Tensor;

// A libtorch holder would call the float forward(), which is not virtual, without a word.
static_assert(!std::is_convertible_v<nn::Linear, torch::nn::Linear>);

TEST(Twins, GoIntoALibtorchHolderOnPurpose) {
  nn::Linear twin(3, 2);
  apply(twin, outputs_with("nearest,8,2"));
  torch::nn::Linear plain = std::shared_ptr<torch::nn::LinearImpl>(twin.ptr());
  const Tensor x = torch::randn({4, 3});
  EXPECT_TRUE(torch::equal(plain(x), torch::nn::functional::linear(x, twin->weight, twin->bias)));
  EXPECT_TRUE(torch::equal(twin(x), quantized(plain(x), "nearest,8,2")));
}

TEST(Twins, WorkInsideLibtorchsContainers) {
  torch::nn::Sequential sequence(nn::Linear(3, 2), torch::nn::ReLU());
  torch::nn::ModuleList list(nn::Linear(3, 2));
  torch::nn::AnyModule any(nn::Linear(3, 2));
  Override maps;
  maps.extrinsic = QuantizerMap({{"0", "nearest,8,2"}}, MapKind::extrinsic);
  apply(sequence, maps);
  const Tensor x = torch::randn({4, 3});
  auto& first = sequence->at<nn::LinearImpl>(0);
  EXPECT_TRUE(torch::equal(sequence->forward(x), torch::relu(first.forward(x))));
  EXPECT_NE(list[0]->as<nn::Linear>(), nullptr);
  EXPECT_NE(any.get<nn::Linear>()->as<torch::nn::Linear>(), nullptr);
  // These ask for the very class of the layer.
  EXPECT_THROW(sequence->at<torch::nn::LinearImpl>(0), c10::Error);
  EXPECT_THROW(any.get<torch::nn::Linear>(), c10::Error);
}

TEST(Twins, OfFunctionsAreQuantizedHoweverTheyAreCalled) {
  nn::Functional relu(torch::relu);
  apply(relu, outputs_with("nearest,8,2"));
  const Tensor x = torch::full({2}, 0.3F);
  EXPECT_EQ((*relu)(x)[0].item<float>(), 0.25F);
  EXPECT_EQ(relu(x)[0].item<float>(), 0.25F);
}

TEST(Names, OfLayersMayHoldAnyText) {
  torch::nn::Module model;
  const std::string name = "größe\n\"層\"";
  nn::Linear layer(3, 2);
  model.register_module(name, layer);
  Override maps = weights_with("stochastic,8,4");
  maps.extrinsic = QuantizerMap({{"größe", "stochastic,8,4"}}, MapKind::extrinsic);
  EXPECT_TRUE(apply(model, maps).warnings.empty());
  EXPECT_EQ(summary(model).at(0).layer, name);
  EXPECT_EQ(summary(model).at(0).output, "stochastic,8,4");
  layer(torch::randn({1, 3}));
  EXPECT_EQ(layer_steps(model).at(name), 1U);
  set_layer_steps(model, {{name, 0}});
  nn::Linear alone(std::make_shared<nn::LinearImpl>(*layer));
  LayerQuantizers quantizers = layer->attached()->quantizers;
  alone->attach(alone->plan(quantizers));
  alone->set_step(0);
  const Tensor x = torch::randn({4, 3});
  EXPECT_TRUE(torch::equal(alone(x), layer(x))) << "the name alone gives the streams";
}

}  // namespace
}  // namespace tensorquant
