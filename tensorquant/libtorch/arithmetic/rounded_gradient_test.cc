// The gradients of rounded layers that are linear in their input against their forward functions.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/nn/nn.h"

namespace tensorquant {
namespace {

namespace o = torch::nn;  // options

// In float64 where nothing rounds but the quotient: every output is the sum of its inputs, each
// times one number. The difference quotients are those numbers, and so are the gradients.
template <class Layer>
void expect_forward_and_gradient_to_agree(const std::string& name, Layer layer,
                                          at::IntArrayRef sizes) {
  layer->to(torch::kDouble);
  apply(layer, Override::from_json(R"({"intrinsic": {"": {"accumulator": "none",
                                                          "accumulate": "fused"}}})"));
  const torch::Tensor x = torch::zeros(sizes, torch::kDouble).requires_grad_();
  const torch::Tensor y = layer->forward(x);
  std::vector<torch::Tensor> rows, columns;
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const torch::Tensor dy = torch::zeros_like(y);
    dy.view(-1)[i] = 1;
    rows.push_back(torch::autograd::grad({y}, {x}, {dy}, /*retain_graph=*/true)[0].flatten());
  }
  const torch::NoGradGuard no_grad;
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const torch::Tensor one = torch::zeros(sizes, torch::kDouble);
    one.view(-1)[i] = 1;
    columns.push_back(layer->forward(one).flatten());
  }
  const torch::Tensor backward = torch::stack(rows), forward = torch::stack(columns, 1);
  EXPECT_TRUE(at::equal(backward, forward)) << name << "\n" << backward << "\n" << forward;
  EXPECT_GT(forward.abs().sum().item<double>(), 0) << name;
}

template <class Layer, class Options>
void expect_pools_to_agree(const std::string& name, const std::vector<Options>& all,
                           at::IntArrayRef sizes) {
  for (Options options : all) {
    for (const bool ceil : {false, true}) {
      for (const bool counts : {false, true}) {
        options.ceil_mode(ceil).count_include_pad(counts);
        const std::string flags = std::string(ceil ? ", ceil" : "") + (counts ? ", counts" : "");
        expect_forward_and_gradient_to_agree(name + flags, Layer(options), sizes);
        if constexpr (requires { options.divisor_override(5); }) {
          Options divided = options;
          divided.divisor_override(5);
          expect_forward_and_gradient_to_agree(name + flags + ", 5", Layer(divided), sizes);
        }
      }
    }
  }
}

TEST(RoundedGradient, OfAPoolIsThatOfItsForwardFunction) {
  for (const std::int64_t size : {4, 5, 7}) {
    std::vector<o::AvgPool1dOptions> lines;
    for (const std::int64_t kernel : {1, 2, 3, 4}) {
      for (const std::int64_t stride : {1, 2, 3, 5}) {
        for (std::int64_t padding = 0; padding <= kernel / 2; ++padding) {
          lines.push_back(o::AvgPool1dOptions(kernel).stride(stride).padding(padding));
        }
      }
    }
    expect_pools_to_agree<nn::AvgPool1d>("AvgPool1d", lines, {1, 2, size});
  }
  expect_pools_to_agree<nn::AvgPool2d>(
      "AvgPool2d",
      std::vector<o::AvgPool2dOptions>{o::AvgPool2dOptions({2, 3}),
                                       o::AvgPool2dOptions({3, 2}).stride({2, 3}).padding({1, 0}),
                                       o::AvgPool2dOptions({2, 4}).stride({3, 1}).padding({1, 2}),
                                       o::AvgPool2dOptions({1, 5}).stride({2, 4}).padding({0, 2})},
      {1, 1, 4, 5});
  expect_pools_to_agree<nn::AvgPool3d>(
      "AvgPool3d",
      std::vector<o::AvgPool3dOptions>{
          o::AvgPool3dOptions({2, 3, 1}),
          o::AvgPool3dOptions({2, 2, 3}).stride({1, 3, 2}).padding({1, 0, 1}),
          o::AvgPool3dOptions({3, 2, 2}).stride({2, 2, 3}).padding({1, 1, 1})},
      {1, 3, 4, 3});
}

TEST(RoundedGradient, OfAnAdaptivePoolIsThatOfItsForwardFunction) {
  for (const std::int64_t size : {1, 2, 3, 5, 7}) {
    expect_forward_and_gradient_to_agree("1-d", nn::AdaptiveAvgPool1d(size), {2, 1, 5});
    expect_forward_and_gradient_to_agree(
        "2-d", nn::AdaptiveAvgPool2d(o::AdaptiveAvgPool2dOptions({size, 2})), {1, 3, 4});
    expect_forward_and_gradient_to_agree(
        "3-d", nn::AdaptiveAvgPool3d(o::AdaptiveAvgPool3dOptions({2, size, 3})), {1, 3, 4, 2});
  }
}

template <class Layer>
Layer without_fractions(Layer layer) {
  const torch::NoGradGuard no_grad;
  layer->weight.copy_(torch::arange(layer->weight.numel()).reshape(layer->weight.sizes()));
  return layer;
}

TEST(RoundedGradient, OfAConvolutionIsThatOfItsForwardFunction) {
  const auto same = [](auto options) { return options.padding(torch::kSame).bias(false); };
  expect_forward_and_gradient_to_agree(
      "same, 1-d", without_fractions(nn::Conv1d(same(o::Conv1dOptions(2, 2, 4)))), {1, 2, 5});
  expect_forward_and_gradient_to_agree(
      "same, 2-d", without_fractions(nn::Conv2d(same(o::Conv2dOptions(1, 2, {2, 3})))), {1, 3, 4});
  expect_forward_and_gradient_to_agree(
      "same, 3-d", without_fractions(nn::Conv3d(same(o::Conv3dOptions(1, 1, {2, 1, 4})))),
      {1, 1, 2, 3, 4});
  expect_forward_and_gradient_to_agree(
      "same, dilation", without_fractions(nn::Conv1d(same(o::Conv1dOptions(1, 1, 2).dilation(3)))),
      {1, 1, 5});
  expect_forward_and_gradient_to_agree(
      "transposed",
      without_fractions(nn::ConvTranspose2d(o::ConvTranspose2dOptions(2, 1, {2, 3})
                                                .stride({3, 2})
                                                .padding({0, 1})
                                                .output_padding({2, 1})
                                                .bias(false))),
      {1, 2, 3, 2});
}

}  // namespace
}  // namespace tensorquant
