// Scales along the axes that a layer gives to its tensors.

#include "tensorquant/libtorch/layers/layer_axes.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {
namespace {

using torch::Tensor;

const std::vector<std::string>& specs() {
  static const std::vector<std::string> specs = {
      "int,4,scale=max",         "int,4,per=channel,scale=max",   "int,4,per=row,scale=max",
      "int,4,block=3,scale=max", "int,8,per=channel,scale=range", "mxfp4"};
  return specs;
}

// x quantized with its channel axis and its reduction axis moved to the front and to the end, where
// the axes in between are lines of their own: what the layout must amount to.
Tensor quantized_with(const Tensor& x, std::int64_t channel, std::int64_t reduction,
                      const std::string& spec) {
  const auto quantizer = make_quantizer(spec);
  const auto run = [&](const Tensor& ordered, const Layout& layout) {
    Tensor y = ordered.contiguous().clone();
    const std::span<float> numbers(y.data_ptr<float>(), static_cast<std::size_t>(y.numel()));
    quantizer->quantize(numbers, numbers, {.layout = layout});
    return y;
  };
  const auto count = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  if (spec.find("per=channel") != std::string::npos) {
    const Tensor ordered = x.movedim(channel, 0);
    const Axis axis = {1, count(x.size(channel)), count(x.numel() / x.size(channel))};
    return run(ordered, {.channel = axis, .reduction = axis}).movedim(0, channel);
  }
  const Tensor ordered = x.movedim(reduction, -1);
  const Axis axis = {count(x.numel() / x.size(reduction)), count(x.size(reduction)), 1};
  return run(ordered, {.channel = axis, .reduction = axis}).movedim(-1, reduction);
}

// The layer's result is that of the plain layer on weights quantized along these axes.
template <class Layer, class... Input>
void expect_weight_axes(Layer layer, std::int64_t channel, std::int64_t reduction,
                        const Input&... input) {
  for (const std::string& spec : specs()) {
    SCOPED_TRACE(layer->type() + " " + spec);
    const torch::NoGradGuard no_gradient;
    apply(layer, {.weights = QuantizerMap({{"", spec}})});
    const Tensor y = layer->forward(input...);
    apply(layer, {});
    const Tensor weight = layer->weight.clone();
    layer->weight.copy_(quantized_with(weight, channel, reduction, spec));
    EXPECT_TRUE(torch::equal(y, layer->forward(input...)));
    layer->weight.copy_(weight);
  }
}

TEST(WeightAxes, AreThoseOfTheLayersTable) {
  torch::manual_seed(1);
  namespace o = torch::nn;
  expect_weight_axes(nn::Linear(o::LinearOptions(7, 5).bias(false)), 0, 1, torch::randn({3, 7}));
  expect_weight_axes(nn::Conv1d(o::Conv1dOptions(7, 4, 3).bias(false)), 0, 1,
                     torch::randn({2, 7, 9}));
  expect_weight_axes(nn::Conv2d(o::Conv2dOptions(7, 4, 3).bias(false)), 0, 1,
                     torch::randn({2, 7, 5, 5}));
  expect_weight_axes(nn::Conv2d(o::Conv2dOptions(8, 4, 3).groups(2).bias(false)), 0, 1,
                     torch::randn({2, 8, 5, 5}));
  expect_weight_axes(nn::Conv2d(o::Conv2dOptions(6, 6, 3).groups(6).bias(false)), 0, 1,
                     torch::randn({2, 6, 5, 5}));
  expect_weight_axes(nn::Conv3d(o::Conv3dOptions(5, 4, 2).bias(false)), 0, 1,
                     torch::randn({2, 5, 3, 3, 3}));
  expect_weight_axes(nn::Embedding(6, 10), 0, 1, torch::tensor({0, 3, 5}));
}

TEST(WeightAxes, OfTransposedConvolutionsBeginWithTheInputs) {
  torch::manual_seed(2);
  namespace o = torch::nn;
  nn::ConvTranspose2d layer(o::ConvTranspose2dOptions(7, 4, 3).bias(false));
  const Tensor x = torch::randn({2, 7, 5, 5});
  for (const std::string& spec : specs()) {
    const torch::NoGradGuard no_gradient;
    apply(layer, {.weights = QuantizerMap({{"", spec}})});
    const Tensor y = layer->forward(x);
    apply(layer, {});
    const Tensor weight = layer->weight.clone();
    layer->weight.copy_(quantized_with(weight, 1, 0, spec));
    EXPECT_TRUE(torch::equal(y, layer->forward(x))) << spec;
    layer->weight.copy_(weight);
  }
}

// The layer's result is that of the plain layer, quantized along the axis.
template <class Layer>
void expect_output_axis(Layer layer, std::int64_t axis, const Tensor& input) {
  for (const std::string& spec : specs()) {
    SCOPED_TRACE(layer->type() + " " + spec + ", " + std::to_string(input.dim()) + " axes");
    const torch::NoGradGuard no_gradient;
    apply(layer, {});
    const Tensor y = layer->forward(input);
    apply(layer, {.extrinsic = QuantizerMap({{"", spec}}, MapKind::extrinsic)});
    EXPECT_TRUE(torch::equal(layer->forward(input), quantized_with(y, axis, axis, spec)));
  }
}

TEST(OutputAxis, IsThatOfTheChannels) {
  torch::manual_seed(3);
  namespace o = torch::nn;
  expect_output_axis(nn::Conv2d(o::Conv2dOptions(3, 7, 3)), 1, torch::randn({2, 3, 6, 6}));
  expect_output_axis(nn::Conv2d(o::Conv2dOptions(3, 7, 3)), 0, torch::randn({3, 6, 6}));
  expect_output_axis(nn::BatchNorm2d(7), 1, torch::randn({2, 7, 4, 4}));
  expect_output_axis(nn::MaxPool2d(o::MaxPool2dOptions(2)), 0, torch::randn({7, 4, 4}));
  expect_output_axis(nn::Linear(5, 7), 2, torch::randn({2, 3, 5}));
  expect_output_axis(nn::Linear(5, 7), 0, torch::randn({5}));
  expect_output_axis(nn::LayerNorm(o::LayerNormOptions({7})), 2, torch::randn({2, 3, 7}));
  expect_output_axis(nn::ReLU(), 1, torch::randn({2, 7, 4, 4}));
  expect_output_axis(nn::ReLU(), 1, torch::randn({2, 7}));
  expect_output_axis(nn::Sigmoid(), 0, torch::randn({7}));
}

TEST(OutputAxis, IsTheSameInChannelsLastMemory) {
  torch::manual_seed(4);
  nn::Conv2d layer(torch::nn::Conv2dOptions(3, 7, 3).bias(false));
  const Tensor x = torch::randn({2, 3, 6, 6});
  for (const std::string& spec : specs()) {
    const torch::NoGradGuard no_gradient;
    apply(layer, {.weights = QuantizerMap({{"", spec}}),
                  .extrinsic = QuantizerMap({{"", spec}}, MapKind::extrinsic)});
    const Tensor y = layer->forward(x);
    layer->to(torch::kFloat);  // drops what is cached
    const Tensor last = layer->forward(x.contiguous(torch::MemoryFormat::ChannelsLast));
    EXPECT_TRUE(torch::allclose(y, last, 1e-4, 1e-4)) << spec;
    EXPECT_EQ(last.sizes(), y.sizes());
  }
}

TEST(ClippedGradient, KnowsTheAxesOfTheLayer) {
  nn::Linear layer(torch::nn::LinearOptions(4, 2).bias(false));
  // Rows with maxima of 7 and 1.75: with floor, 2^-2 * 7 = 1.75 is the largest value of the second
  // one, and of the first 7 is.
  const Tensor weight = torch::tensor({{7.0F, 7.5F, 1.0F, -9.0F}, {1.75F, 1.8F, -2.5F, 0.5F}});
  {
    const torch::NoGradGuard no_gradient;
    layer->weight.copy_(weight);
  }
  apply(layer, {.weights = QuantizerMap(
                    {{"", "float,2,1,grad=clipped,per=row,scale=floor,special=finite"}})});
  layer->forward(torch::ones({1, 4})).sum().backward();
  // amax 9 and 2.5: s = 2^(3-2) = 2 and 2^(1-2) = 1/2; the largest values are 12 and 3.
  EXPECT_TRUE(torch::equal(layer->weight.grad(), torch::ones({2, 4})));
  layer->weight.grad().zero_();
  apply(layer, {.weights = QuantizerMap({{"", "int,3,grad=clipped,per=row,scale=floor"}})});
  layer->forward(torch::ones({1, 4})).sum().backward();
  // Integers from -4 to 3, s = 2^(3-1) = 4 and 2^(1-1) = 1: the ends are -16 and 12, -4 and 3.
  EXPECT_TRUE(torch::equal(layer->weight.grad(), torch::ones({2, 4})));
  layer->weight.grad().zero_();
  {
    const torch::NoGradGuard no_gradient;
    layer->weight.copy_(torch::tensor({{15.0F, 11.0F, -15.5F, 1.0F}, {3.5F, -3.75F, 1.0F, 3.0F}}));
  }
  layer->forward(torch::ones({1, 4})).sum().backward();
  // amax 15.5 and 3.75: s = 4 and 1; 15 > 12 and 3.5 > 3 are outside.
  EXPECT_TRUE(torch::equal(layer->weight.grad(),
                           torch::tensor({{0.0F, 1.0F, 1.0F, 1.0F}, {0.0F, 1.0F, 1.0F, 1.0F}})));
}

// A user's own quantizer asks for the layout by looking at the context.
class ChannelMaximum final : public Quantizer {
 public:
  using Quantizer::quantize;
  void quantize(std::span<const float> in, std::span<float> out,
                const Context& context) const override {
    const Axis axis = context.layout.value().channel;
    for (std::size_t k = 0; k < axis.length; ++k) {
      float most = 0;
      const auto each = [&](auto body) {
        for (std::size_t o = 0; o < axis.outer; ++o) {
          for (std::size_t i = 0; i < axis.inner; ++i) {
            body((o * axis.length + k) * axis.inner + i);
          }
        }
      };
      each([&](std::size_t i) { most = std::max(most, in[i]); });
      each([&](std::size_t i) { out[i] = most; });
    }
  }
  std::string spec() const override { return "channel_maximum"; }
  bool needs_layout() const override { return true; }
};

TEST(OwnQuantizer, GetsTheLayoutOfTheLayer) {
  nn::Linear layer(torch::nn::LinearOptions(2, 2).bias(false));
  const torch::NoGradGuard no_gradient;
  layer->weight.copy_(torch::tensor({{1.0F, 2.0F}, {5.0F, 3.0F}}));
  QuantizerMap weights;
  weights.add("", std::make_shared<ChannelMaximum>());
  apply(layer, {.weights = weights});
  EXPECT_TRUE(torch::equal(layer->forward(torch::ones({1, 2})), torch::tensor({{4.0F, 10.0F}})));
}

}  // namespace
}  // namespace tensorquant
