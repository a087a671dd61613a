// Layers with an intrinsic map.

#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"
#include "tensorquant/libtorch/arithmetic/linear_and_convolution.h"
#include "tensorquant/libtorch/arithmetic/normalization.h"
#include "tensorquant/libtorch/arithmetic/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensorquant/arithmetic/layers/convolution.h"
#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/steps.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/libtorch/nn/layer_cases.h"
#include "tensorquant/libtorch/nn/nn.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"

namespace tensorquant {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

namespace o = torch::nn;  // options

Override intrinsic(const std::string& json) {
  return Override::from_json(R"({"intrinsic": )" + json + "}");
}

// Small integers: products and sums are exact in float32, for libtorch too.
torch::Tensor small(at::IntArrayRef sizes) {
  return torch::randint(-4, 5, sizes).to(torch::kFloat);
}

void make_small(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (const torch::Tensor& parameter : module.parameters())
    parameter.copy_(small(parameter.sizes()));
}

struct Case {
  std::string name;
  std::function<torch::Tensor(const Override*)> run;  // null: the float layer
};

// The layer's output and the gradients of its input and parameters, flattened to one tensor.
template <class Layer>
torch::Tensor results_of(Layer layer, const torch::Tensor& x) {
  const torch::Tensor input = x.detach().clone().requires_grad_();
  for (const torch::Tensor& parameter : layer->parameters())
    parameter.mutable_grad() = torch::Tensor();
  const torch::Tensor y = layer->forward(input);
  y.backward(torch::arange(y.numel()).remainder(7).sub(3).to(y.dtype()).reshape(y.sizes()));
  std::vector<torch::Tensor> all = {y.detach().flatten(), input.grad().flatten()};
  for (const torch::Tensor& parameter : layer->parameters()) {
    all.push_back(parameter.grad().flatten());
  }
  return torch::cat(all);
}

template <class Layer>
Case make_case(const std::string& name, Layer layer, at::IntArrayRef sizes) {
  make_small(*layer);
  const torch::Tensor x = small(sizes);
  return {name, [layer, x](const Override* maps) {
            if (maps == nullptr) {
              strip(layer);
            } else {
              apply(layer, *maps);
            }
            return results_of(layer, x);
          }};
}

std::vector<Case> exact_cases() {
  torch::manual_seed(1);
  return {
      make_case("Linear", nn::Linear(7, 5), {4, 7}),
      make_case("Linear 3-d", nn::Linear(o::LinearOptions(7, 5).bias(false)), {2, 3, 7}),
      make_case("Linear 1-d", nn::Linear(7, 5), {7}),
      make_case("Linear, empty", nn::Linear(7, 5), {0, 7}),
      make_case("Conv1d", nn::Conv1d(o::Conv1dOptions(3, 5, 3).stride(2).padding(1)), {2, 3, 9}),
      make_case("Conv2d", nn::Conv2d(4, 6, 3), {2, 4, 8, 9}),
      make_case("Conv2d, groups",
                nn::Conv2d(o::Conv2dOptions(4, 6, {3, 2}).groups(2).padding({1, 2})), {2, 4, 8, 8}),
      make_case("Conv2d, depthwise", nn::Conv2d(o::Conv2dOptions(6, 6, 3).groups(6).padding(1)),
                {2, 6, 5, 5}),
      make_case("Conv2d, stride and dilation",
                nn::Conv2d(o::Conv2dOptions(3, 5, 3).stride({2, 1}).dilation({1, 2}).bias(false)),
                {2, 3, 9, 8}),
      make_case("Conv2d, same", nn::Conv2d(o::Conv2dOptions(3, 5, {2, 3}).padding(torch::kSame)),
                {2, 3, 6, 6}),
      make_case("Conv2d, reflect",
                nn::Conv2d(o::Conv2dOptions(2, 3, 3).padding({2, 1}).padding_mode(torch::kReflect)),
                {2, 2, 6, 5}),
      make_case("Conv2d, circular",
                nn::Conv2d(o::Conv2dOptions(2, 3, 3).padding(1).padding_mode(torch::kCircular)),
                {2, 2, 6, 5}),
      make_case("Conv2d, without a batch", nn::Conv2d(3, 5, 3), {3, 6, 6}),
      make_case("Conv2d, empty", nn::Conv2d(3, 5, 3), {0, 3, 6, 6}),
      make_case("Conv3d", nn::Conv3d(o::Conv3dOptions(2, 3, 2).padding({1, 0, 1})),
                {2, 2, 4, 4, 4}),
      make_case("ConvTranspose1d", nn::ConvTranspose1d(3, 5, 3), {2, 3, 9}),
      make_case("ConvTranspose2d",
                nn::ConvTranspose2d(o::ConvTranspose2dOptions(4, 6, 3)
                                        .stride({2, 3})
                                        .padding({1, 2})
                                        .output_padding({1, 0})
                                        .groups(2)),
                {2, 4, 5, 4}),
      make_case("ConvTranspose2d, padding beyond the kernel",
                nn::ConvTranspose2d(o::ConvTranspose2dOptions(2, 3, 2).padding(2).dilation({1, 2})),
                {2, 2, 6, 6}),
      make_case("ConvTranspose3d",
                nn::ConvTranspose3d(o::ConvTranspose3dOptions(2, 3, 2).stride(2)), {2, 2, 3, 3, 3}),
      make_case("AvgPool1d", nn::AvgPool1d(4), {2, 3, 9}),
      make_case("AvgPool2d", nn::AvgPool2d(o::AvgPool2dOptions(2).stride({2, 1}).padding(1)),
                {2, 3, 7, 6}),
      make_case("AvgPool2d, ceil",
                nn::AvgPool2d(o::AvgPool2dOptions({2, 4}).ceil_mode(true).stride(2)), {2, 3, 7, 6}),
      make_case("AvgPool2d, divisor", nn::AvgPool2d(o::AvgPool2dOptions(3).divisor_override(8)),
                {3, 7, 6}),
      make_case("AvgPool2d, without the padding",
                nn::AvgPool2d(
                    o::AvgPool2dOptions({2, 2}).padding({1, 1}).count_include_pad(false).stride(2)),
                {2, 3, 6, 6}),
      make_case("AvgPool3d", nn::AvgPool3d(2), {2, 2, 4, 4, 5}),
      make_case("AdaptiveAvgPool1d", nn::AdaptiveAvgPool1d(4), {2, 3, 5}),
      make_case("AdaptiveAvgPool2d", nn::AdaptiveAvgPool2d(o::AdaptiveAvgPool2dOptions({3, 2})),
                {2, 3, 4, 4}),
      make_case("AdaptiveAvgPool3d", nn::AdaptiveAvgPool3d(2), {2, 2, 4, 4, 4}),
  };
}

TEST(RoundedLayers, AreTheFloatLayersWhereNothingRounds) {
  for (const Case& layer : exact_cases()) {
    const torch::Tensor wanted = layer.run(nullptr);
    for (const std::string text :
         {R"("nearest,32,12")", R"({"": {"accumulate": "once"}})",
          R"({"": {"product": "even,30,6", "accumulator": "zero,32,8", "accumulate": "chunk:2"}})",
          R"({"": {"product": "none", "accumulator": "float,8,23", "accumulate": "fused"}})"}) {
      const Override maps = intrinsic(text);
      EXPECT_TRUE(at::equal(layer.run(&maps), wanted)) << layer.name << " " << text;
    }
  }
}

TEST(RoundedLayers, AddAsTorchDoesWhereNothingRounds) {
  nn::Add add;
  apply(add, intrinsic(R"("nearest,32,12")"));
  const torch::Tensor a = small({2, 3, 4}).requires_grad_(), b = small({3, 1}).requires_grad_();
  const torch::Tensor y = add->forward(a, b);
  EXPECT_TRUE(at::equal(y, a + b));
  y.sum().backward();
  EXPECT_TRUE(at::equal(a.grad(), torch::ones({2, 3, 4})));
  EXPECT_TRUE(at::equal(b.grad(), torch::full({3, 1}, 8.0F)));
}

TEST(RoundedLayers, DoNotDependOnTheMemoryFormat) {
  nn::Conv2d conv(o::Conv2dOptions(4, 6, 3).padding(1));
  apply(conv, intrinsic(R"("nearest,12,6")"));
  const torch::Tensor x = torch::randn({2, 4, 8, 8});
  const torch::Tensor y = conv->forward(x);
  EXPECT_FALSE(at::equal(y, at::conv2d(x, conv->weight, conv->bias, 1, 1)));
  EXPECT_TRUE(at::equal(conv->forward(x.to(torch::MemoryFormat::ChannelsLast)), y));
  EXPECT_TRUE(at::equal(conv->forward(x.transpose(2, 3).contiguous().transpose(2, 3)), y));
}

// The layer is the core's convolution of the quantized weight, with the layer's own streams.
TEST(RoundedLayers, UseQuantizedWeightsAndTheirOwnRandomNumbers) {
  nn::Sequential model;
  model->push_back("conv", nn::Conv2d(o::Conv2dOptions(3, 4, 3).bias(false)));
  Override maps = intrinsic(R"("stochastic,12,6")");
  maps.weights = QuantizerMap({{"", "nearest,6,4"}});
  maps.seed = 11;
  apply(model, maps);
  model->eval();
  set_inference_step(model, 5);
  const torch::Tensor x = torch::randn({2, 3, 5, 5});
  const torch::NoGradGuard no_grad;
  const torch::Tensor found = model->forward(x);

  const torch::Tensor weight =
      quantize(model->named_parameters()["conv.weight"].detach(), *make_quantizer("nearest,6,4"));
  const auto stochastic = make_quantizer("stochastic,12,6");
  Convolution shape;
  shape.batch = 2;
  shape.in_channels = 3;
  shape.out_channels = 4;
  shape.input = {5, 5};
  shape.kernel = {3, 3};
  shape.stride = shape.dilation = {1, 1};
  shape.padding_begin = shape.padding_end = {0, 0};
  torch::Tensor wanted = torch::empty({2, 4, 3, 3});
  convolve<float>(make_arithmetic(*stochastic, *stochastic, {}),
                  {11, stream_of("conv", "product"), stream_of("conv", "accumulator"), 5}, shape,
                  x.data_ptr<float>(), weight.data_ptr<float>(), nullptr, wanted.data_ptr<float>());
  EXPECT_TRUE(at::equal(found, wanted));
  set_inference_step(model, 6);
  EXPECT_FALSE(at::equal(model->forward(x), wanted));
}

TEST(RoundedLayers, GiveTheFloatLayersGradientAtTheQuantizedValues) {
  torch::manual_seed(2);
  nn::Linear layer(5, 3);
  const torch::Tensor x = torch::randn({4, 5}).requires_grad_();
  const torch::Tensor dy = torch::randn({4, 3});
  Override maps = intrinsic(R"("nearest,6,3")");
  maps.weights = QuantizerMap({{"", "nearest,5,3"}});
  apply(layer, maps);
  layer->forward(x).backward(dy);
  const torch::Tensor weight = quantize(layer->weight.detach(), *make_quantizer("nearest,5,3"));
  EXPECT_TRUE(at::allclose(x.grad(), dy.matmul(weight), 1e-6, 1e-6));
  EXPECT_TRUE(at::allclose(layer->weight.grad(), dy.t().matmul(x.detach()), 1e-6, 1e-6));
  EXPECT_TRUE(at::allclose(layer->bias.grad(), dy.sum(0), 1e-6, 1e-6));
}

TEST(RoundedLayers, ClipTheGradientWhereTheLastSumLeavesTheRange) {
  nn::Linear layer(o::LinearOptions(1, 1).bias(false));
  torch::nn::init::constant_(layer->weight, 2);
  apply(layer, intrinsic(R"("nearest,4,0,grad=clipped")"));  // -8 .. 7
  const torch::Tensor x =
      torch::tensor({{-5.0F}, {-4.0F}, {3.0F}, {3.6F}, {4.0F}}).requires_grad_();
  const torch::Tensor y = layer->forward(x);
  EXPECT_TRUE(at::equal(y, torch::tensor({{-8.0F}, {-8.0F}, {6.0F}, {7.0F}, {7.0F}})));
  y.sum().backward();
  // 7.2 and 8 are products that saturate to 7, which is no overflow of the sum.
  EXPECT_TRUE(at::equal(x.grad(), torch::tensor({{2.0F}, {2.0F}, {2.0F}, {2.0F}, {2.0F}})));

  apply(layer,
        intrinsic(R"({"": {"product": "none", "accumulator": "nearest,4,0,grad=clipped"}})"));
  x.mutable_grad() = torch::Tensor();
  layer->forward(x).sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), torch::tensor({{0.0F}, {2.0F}, {2.0F}, {0.0F}, {0.0F}})));
}

TEST(RoundedLayers, ClipTheGradientOfAPoolWhereItsSumLeavesTheRange) {
  nn::AvgPool1d pool(2);
  apply(pool, intrinsic(R"({"": {"product": "none", "accumulator": "nearest,4,0,grad=clipped"}})"));
  const torch::Tensor x =
      torch::tensor({{{3.0F, 4.0F, 4.0F, 4.0F, -4.0F, -4.0F}}}).requires_grad_();
  const torch::Tensor y = pool->forward(x);
  EXPECT_TRUE(at::equal(y, torch::tensor({{{3.5F, 3.5F, -4.0F}}})));  // 8 saturates to 7
  y.sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), torch::tensor({{{0.5F, 0.5F, 0.0F, 0.0F, 0.5F, 0.5F}}})));
}

TEST(RoundedLayers, ASecondAccumulatorTakesTheSumsOfSegments) {
  nn::Linear layer(o::LinearOptions(4, 1).bias(true));
  const torch::NoGradGuard no_grad;
  layer->weight.fill_(1);
  layer->bias.fill_(3);
  apply(layer, intrinsic(R"({"": {"accumulator": "nearest,4,0",
                                  "outer": {"accumulator": "nearest,5,0", "every": 2}}})"));
  const auto y = [&](std::vector<float> x) {
    return layer->forward(torch::tensor(x).view({1, 4})).item<float>();
  };
  EXPECT_EQ(y({5, 5, 5, -1}), 14);  // 7 and 4, and the bias
  EXPECT_EQ(y({7, 7, 7, 7}), 15);   // 7 and 7; then the second one saturates
}

TEST(RoundedLayers, TheLastAccumulatorClipsTheGradient) {
  nn::Linear layer(o::LinearOptions(4, 1).bias(false));
  layer->weight.data().fill_(1);
  apply(layer, intrinsic(R"({"": {"accumulator": "nearest,4,0",
                                  "outer": {"accumulator": "nearest,4,0,grad=clipped",
                                            "every": 2}}})"));
  const torch::Tensor x =
      torch::tensor({{7.0F, 7.0F, 7.0F, 7.0F}, {7.0F, 7.0F, -7.0F, 0.0F}}).requires_grad_();
  layer->forward(x).sum().backward();
  // 14 lies outside; 0 does not, though the first accumulator has saturated.
  EXPECT_TRUE(
      at::equal(x.grad(), torch::tensor({{0.0F, 0.0F, 0.0F, 0.0F}, {1.0F, 1.0F, 1.0F, 1.0F}})));
}

// The weights are 2^-9, subnormal in E4M3: as such their exponent is -6, by their value -9.
TEST(RoundedLayers, AlignmentKnowsTheFormatOfTheWeights) {
  nn::Linear layer(o::LinearOptions(2, 1).bias(false));
  const torch::NoGradGuard no_grad;
  layer->weight.fill_(0x1p-9);
  const torch::Tensor x = torch::tensor({{1.0F, 0.5F}});
  const std::string align = R"("intrinsic": {"": {"accumulate": "align:2:2"}}})";
  apply(layer, Override::from_json("{" + align));
  EXPECT_EQ(layer->forward(x).item<float>(), 1.5f * 0x1p-9f);
  apply(layer, Override::from_json(R"({"weights": "e4m3fn", )" + align));
  EXPECT_EQ(layer->forward(x).item<float>(), 0);
}

TEST(RoundedLayers, AConvolutionAddsUpByTap) {
  nn::Conv1d layer(o::Conv1dOptions(2, 1, 2).bias(false));
  const torch::NoGradGuard no_grad;
  layer->weight.fill_(1);
  const torch::Tensor x = torch::tensor({7.0F, -7.0F, 7.0F, -7.0F}).view({1, 2, 2});
  apply(layer, intrinsic(R"({"": {"accumulator": "nearest,4,0"}})"));
  EXPECT_EQ(layer->forward(x).item<float>(), 0);
  apply(layer, intrinsic(R"({"": {"accumulator": "nearest,4,0", "order": "tap"}})"));
  EXPECT_EQ(layer->forward(x).item<float>(), -7);  // 7 and 7 saturate first
}

TEST(RoundedLayers, NormalizeByFloatStatisticsOfTheBatchInTraining) {
  nn::BatchNorm2d norm(3), plain(3);
  apply(norm, intrinsic(R"({"": {"product": "nearest,32,20", "accumulator": "nearest,32,20"}})"));
  const torch::Tensor x = torch::randn({4, 3, 5, 5});
  const torch::Tensor a = x.clone().requires_grad_(), b = x.clone().requires_grad_();
  const torch::Tensor found = norm->forward(a), wanted = plain->forward(b);
  EXPECT_TRUE(at::allclose(found, wanted, 1e-5, 1e-5));
  EXPECT_TRUE(at::equal(norm->running_mean, plain->running_mean));
  EXPECT_TRUE(at::equal(norm->running_var, plain->running_var));
  EXPECT_EQ(norm->num_batches_tracked.item<std::int64_t>(), 1);
  const torch::Tensor dy = torch::randn_like(x);
  found.backward(dy);
  wanted.backward(dy);
  EXPECT_TRUE(at::equal(a.grad(), b.grad()));
  norm->eval();
  plain->eval();
  EXPECT_TRUE(at::allclose(norm->forward(x), plain->forward(x), 1e-5, 1e-5));
}

TEST(RoundedLayers, TakeFloat64) {
  nn::Linear layer(4, 3);
  layer->to(torch::kDouble);
  make_small(*layer);
  const torch::Tensor x = small({2, 4}).to(torch::kDouble);
  const torch::Tensor wanted = layer->forward(x);
  apply(layer, intrinsic(R"("nearest,32,12")"));
  EXPECT_TRUE(at::equal(layer->forward(x), wanted));
  EXPECT_THAT([&] { layer->forward(x.to(torch::kFloat)); },
              ThrowsMessage<Error>(HasSubstr("tensors of one type")));
}

TEST(Apply, RefusesToRoundArithmeticThatItDoesNotCover) {
  nn::Sequential model(nn::Linear(4, 4), nn::LocalResponseNorm(2), nn::Mish(), nn::ReLU());
  EXPECT_THAT(
      [&] { apply(model, intrinsic(R"("nearest,16,8")")); },
      ThrowsMessage<Error>(AllOf(HasSubstr("'1' (LocalResponseNorm)"), HasSubstr("'2' (Mish)"),
                                 Not(HasSubstr("'0'")), Not(HasSubstr("'3'")))));
  EXPECT_EQ(summary(model)[0].intrinsic, "");
  EXPECT_THAT([&] { apply(model, intrinsic(R"({"0": "ternary"})")); },
              ThrowsMessage<Error>(AllOf(HasSubstr("'0' (Linear)"), HasSubstr("'ternary'"))));
  apply(model, intrinsic(R"({"1": null, "2": "none", "": "nearest,16,8"})"));
  EXPECT_EQ(summary(model)[0].intrinsic, "nearest,16,8");
  EXPECT_EQ(summary(model)[3].intrinsic, "nothing to round");
}

// A class that is derived from a layer may compute something else than that layer.
struct ScaledImpl : torch::nn::LinearImpl {
  using torch::nn::LinearImpl::LinearImpl;
  torch::Tensor forward(const torch::Tensor& x) { return 2 * torch::nn::LinearImpl::forward(x); }
};

TEST(Apply, RefusesToRoundInsideAClassThatIsDerivedFromALayer) {
  QLayer<ScaledImpl> layer(3, 2);
  EXPECT_THROW(apply(layer, intrinsic(R"("nearest,16,8")")), Error);
}

TEST(Ranges, CountWhatWasClamped) {
  nn::Sequential model;
  model->push_back("fc", nn::Linear(o::LinearOptions(3, 1).bias(false)));
  torch::nn::init::constant_(model->named_parameters()["fc.weight"], 2);
  apply(model, intrinsic(R"({"": {"product": "nearest,5,0", "accumulator": "nearest,6,0"}})"));
  record_ranges(model);
  const torch::NoGradGuard no_grad;
  // Products 20 (clamped to 15), 14, 10 and sums 15, 29, 39 (clamped to 31).
  EXPECT_EQ(model->forward(torch::tensor({{10.0F, 7.0F, 5.0F}})).item<float>(), 31);
  const std::vector<LayerRangeReport> all = ranges(model);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].layer, "fc");
  const RangeReport& report = all[0].report;
  EXPECT_EQ(report.products, 3U);
  EXPECT_EQ(report.clamped_products, 1U);
  EXPECT_EQ(report.sums, 3U);
  EXPECT_EQ(report.clamped_sums, 1U);
  EXPECT_EQ(report.largest_product, 20);
  EXPECT_EQ(report.highest_sum, 39);
  EXPECT_EQ(report.sufficient_bits(0), 7);
  record_ranges(model, false);
  EXPECT_TRUE(ranges(model).empty());
}

}  // namespace
}  // namespace tensorquant
