// What a quantizer's gradient needs of the forward pass, beside layers that work in place, sparse
// gradients and second derivatives.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/libtorch/tensors/test_quantizers.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
using torch::Tensor;

std::shared_ptr<const Quantizer> clipped() {  // -8 .. 7.9375
  return make_quantizer("nearest,8,4,grad=clipped");
}

Tensor is_inside(const Tensor& x) { return x.ge(-8).logical_and(x.le(7.9375)); }

template <class Module>
void quantize_output(Module& module, std::shared_ptr<const Quantizer> quantizer) {
  LayerQuantizers quantizers;
  quantizers.layer = "layer";
  quantizers.output = std::move(quantizer);
  module->attach(module->plan(quantizers));
}

// A convolution whose quantized output a layer overwrites.
class BeforeAnInPlaceLayer : public testing::Test {
 protected:
  BeforeAnInPlaceLayer() {
    const torch::NoGradGuard no_gradient;
    conv_->weight.mul_(40);  // many outputs are out of range
  }
  // The weights' gradient where `rest` follows the convolution.
  template <class Rest>
  Tensor gradient(const Rest& rest) {
    conv_->weight.mutable_grad() = Tensor();
    rest(conv_(x_)).backward(dy_);
    return conv_->weight.grad();
  }
  // That of libtorch's convolution, whose output has the gradient du.
  Tensor expected(const Tensor& du) {
    const Tensor u = torch::conv2d(x_, conv_->weight, conv_->bias);
    return torch::autograd::grad({u}, {conv_->weight}, {du})[0];
  }
  Tensor float_output() {
    const torch::NoGradGuard no_gradient;
    return torch::conv2d(x_, conv_->weight, conv_->bias);
  }

  nn::Conv2d conv_{2, 3, 3};
  const Tensor x_ = torch::randn({2, 2, 6, 6});
  const Tensor dy_ = torch::randn({2, 3, 4, 4});
};

TEST_F(BeforeAnInPlaceLayer, ClippedGradientsAreThoseOfTheForwardPass) {
  quantize_output(conv_, clipped());
  const Tensor u = float_output();
  ASSERT_TRUE(is_inside(u).any().item<bool>() && !is_inside(u).all().item<bool>());
  nn::ReLU relu(torch::nn::ReLUOptions().inplace(true));
  const Tensor passes = is_inside(u).logical_and(quantized(u).gt(0));
  EXPECT_TRUE(torch::equal(gradient([&](Tensor y) { return relu(y); }), expected(dy_ * passes)));
  EXPECT_TRUE(
      torch::equal(gradient([](Tensor y) { return y += 1; }), expected(dy_ * is_inside(u))));
}

TEST_F(BeforeAnInPlaceLayer, AUsersGradientSeesTheOutputAsItWas) {
  quantize_output(conv_, std::make_shared<TestQuantizer>());
  const Tensor u = float_output();
  const Tensor du = (u + 10 * torch::floor(u) + 100) * dy_;
  EXPECT_TRUE(torch::equal(gradient([](Tensor y) { return y += 1; }), expected(du)));
}

TEST_F(BeforeAnInPlaceLayer, RoundedArithmeticKeepsNothingOfItsResult) {
  for (const char* value : {R"("nearest,8,4")", R"("nearest,8,4,grad=clipped")"}) {
    apply(conv_, Override::from_json(std::string(R"({"intrinsic": {"": )") + value + "}}"));
    const Tensor wanted = gradient([](const Tensor& y) { return y + 1; });
    EXPECT_TRUE(torch::equal(gradient([](Tensor y) { return y += 1; }), wanted)) << value;
  }
}

TEST(AModelInPlace, TrainsWithClippedGradients) {
  for (const char* spec : {"nearest,8,4", "nearest,8,4,grad=clipped", "stochastic,8,4,grad=clipped",
                           "ternary,grad=clipped"}) {
    const auto in_place = torch::nn::ReLUOptions().inplace(true);
    nn::Sequential model{nn::Conv2d(1, 4, 3), nn::ReLU(in_place),      nn::Conv2d(4, 4, 3),
                         nn::BatchNorm2d(4),  nn::ReLU(in_place),      nn::Dropout(0.1),
                         nn::Flatten(),       nn::Linear(4 * 4 * 4, 3)};
    apply(model, everything_with(spec));
    model->forward(torch::randn({2, 1, 8, 8})).sum().backward();
    for (const Tensor& p : model->parameters()) {
      EXPECT_TRUE(p.grad().isfinite().all().item<bool>()) << spec;
    }
  }
}

TEST(ClippedGradient, IsThatOfTheForwardPassWhateverChangesLater) {
  const Tensor x = torch::tensor({-9.0F, -8.0F, 3.0F, 9.0F}).requires_grad_();
  Tensor h = x * 1;
  Tensor y = quantize(h, clipped());
  h.zero_();
  y += 1;
  y.sum().backward();
  EXPECT_TRUE(torch::equal(x.grad(), torch::tensor({0.0F, 1.0F, 1.0F, 0.0F})));
}

TEST(StraightThroughGradient, PassesWhateverChangesLater) {
  Tensor x = torch::tensor({-9.0F, 3.0F}).requires_grad_();
  Tensor y = quantize(x, make_quantizer("nearest,8,4"));
  y *= 2;
  {
    const torch::NoGradGuard no_gradient;
    x.zero_();
  }
  y.sum().backward();
  EXPECT_TRUE(torch::equal(x.grad(), torch::tensor({2.0F, 2.0F})));
}

TEST(ClippedGradient, OfParametersThatAnOptimizerChangesFirst) {
  nn::Linear layer(3, 2);
  apply(layer, weights_with("nearest,3,2,grad=clipped"));  // -1 .. 0.75
  const Tensor x = torch::tensor({{1.0F, 2.0F, 3.0F}});
  layer->weight.set_data(torch::tensor({{0.5F, 2.0F, -1.0F}, {-3.0F, 0.0F, 0.75F}}));
  layer->bias.set_data(torch::tensor({0.5F, 1.0F}));
  const Tensor y = layer(x);
  {
    const torch::NoGradGuard no_gradient;
    layer->weight.add_(100);
    layer->bias.sub_(100);
  }
  y.sum().backward();
  EXPECT_TRUE(
      torch::equal(layer->weight.grad(), torch::tensor({{1.0F, 0.0F, 3.0F}, {0.0F, 2.0F, 3.0F}})));
  EXPECT_TRUE(torch::equal(layer->bias.grad(), torch::tensor({1.0F, 0.0F})));
}

TEST(ClippedGradient, KeepsNeitherInputNorOutput) {
  const Tensor x = torch::randn({4}, torch::requires_grad());
  const Tensor h = x * 1;
  const Tensor y = quantize(h, clipped());
  EXPECT_TRUE(is_exclusive(h) && is_exclusive(y));
  const Tensor z = quantize_relu_consuming(Tensor(h), make_quantizer("nearest,8,4"));
  EXPECT_TRUE(is_exclusive(h) && is_exclusive(z));
}

TEST(ClippedGradient, HasAGradientOfItsOwn) {
  const Tensor x = torch::tensor({1.0F, 2.0F, -1.0F}).requires_grad_();
  const Tensor y = quantize(x * x * x, clipped());  // 1, 8, -1
  const Tensor dx = torch::autograd::grad({y.sum()}, {x}, {}, true, /*create_graph=*/true)[0];
  EXPECT_TRUE(torch::equal(dx, torch::tensor({3.0F, 0.0F, 3.0F})));
  const Tensor ddx = torch::autograd::grad({dx.sum()}, {x})[0];
  EXPECT_TRUE(torch::equal(ddx, torch::tensor({6.0F, 0.0F, -6.0F})));
}

TEST(AUsersGradient, RefusesAnInputThatHasChanged) {
  const Tensor x = torch::ones({3}, torch::requires_grad());
  Tensor h = x * 1;
  const Tensor y = quantize(h, std::make_shared<TestQuantizer>());
  h.add_(1);
  EXPECT_THAT([&] { y.sum().backward(); },
              ThrowsMessage<std::exception>(HasSubstr("modified by an inplace operation")));
}

TEST(QuantizedRelu, HasTheGradientOfTheForwardPassWhateverChangesLater) {
  for (const auto& quantizer : {make_quantizer("nearest,8,4"), clipped()}) {
    const Tensor x = torch::tensor({-1.0F, 0.0F, 3.0F, 4.0F}).requires_grad_();
    Tensor h = x * 1;
    Tensor y = quantize_relu_consuming(Tensor(h), quantizer);
    h.zero_();
    y += 1;
    y.sum().backward();
    EXPECT_TRUE(torch::equal(x.grad(), torch::tensor({0.0F, 0.0F, 1.0F, 1.0F})));
  }
}

// The gradient of a weight of which some elements are out of range, and rows are taken twice.
template <class Layer, class... Input>
Tensor gradient_of_rows(Layer layer, const Override& maps, Input... input) {
  layer->weight.set_data(torch::tensor({{0.5F, 2.0F}, {-3.0F, 0.25F}, {1.0F, -1.0F}}));
  apply(layer, maps);
  layer(input...).mul(torch::tensor({3.0F, 5.0F})).sum().backward();
  return layer->weight.grad();
}

TEST(SparseGradients, AreClippedAndStaySparse) {
  const Override clips = weights_with("nearest,3,2,grad=clipped");  // -1 .. 0.75
  const Tensor rows = torch::tensor({0, 1, 0, 2});
  const Tensor wanted = torch::tensor({{6.0F, 0.0F}, {0.0F, 5.0F}, {0.0F, 5.0F}});
  const Tensor dx =
      gradient_of_rows(nn::Embedding(torch::nn::EmbeddingOptions(3, 2).sparse(true)), clips, rows);
  EXPECT_TRUE(dx.is_sparse());
  EXPECT_TRUE(torch::equal(dx.to_dense(), wanted));
  const Tensor bag = gradient_of_rows(
      nn::EmbeddingBag(torch::nn::EmbeddingBagOptions(3, 2).sparse(true).mode(torch::kSum)), clips,
      rows, torch::tensor({0, 2}));
  EXPECT_TRUE(bag.is_sparse());
  EXPECT_TRUE(torch::equal(bag.to_dense(), wanted));
  EXPECT_TRUE(torch::equal(gradient_of_rows(nn::Embedding(3, 2), clips, rows), wanted));
}

TEST(SparseGradients, OfSingleElementsAreClipped) {
  const Tensor x = torch::tensor({{0.5F, 2.0F}, {-3.0F, 0.25F}}).requires_grad_();
  const auto quantizer = make_quantizer("nearest,3,2,grad=clipped");
  const Tensor columns = torch::tensor({{1, 0}, {1, 0}});
  torch::gather(quantize(x, quantizer), 1, columns, /*sparse_grad=*/true).sum().backward();
  EXPECT_TRUE(x.grad().is_sparse());
  EXPECT_TRUE(torch::equal(x.grad().to_dense(), torch::tensor({{1.0F, 0.0F}, {0.0F, 1.0F}})));
}

TEST(SparseGradients, PassStraightThrough) {
  const Tensor dx = gradient_of_rows(nn::Embedding(torch::nn::EmbeddingOptions(3, 2).sparse(true)),
                                     weights_with("nearest,3,2"), torch::tensor({1, 1}));
  EXPECT_TRUE(dx.is_sparse());
  EXPECT_TRUE(
      torch::equal(dx.to_dense(), torch::tensor({{0.0F, 0.0F}, {6.0F, 10.0F}, {0.0F, 0.0F}})));
}

TEST(SparseGradients, AreDenseForAUsersGradient) {
  const Tensor x = torch::tensor({{1.0F, 2.0F}, {3.0F, 4.0F}}).requires_grad_();
  const Tensor y = quantize(x, std::make_shared<TestQuantizer>());
  torch::embedding(y, torch::tensor({1}), -1, false, /*sparse=*/true).sum().backward();
  EXPECT_FALSE(x.grad().is_sparse());
  EXPECT_TRUE(torch::equal(x.grad(), torch::tensor({{0.0F, 0.0F}, {133.0F, 144.0F}})));
}

}  // namespace
}  // namespace tensorquant
