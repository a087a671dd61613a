// Layers whose data and weights have scales: arithmetic sees elements and scales apart.

#include "tensorquant/libtorch/tensors/scaled_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/libtorch.h"

namespace tensorquant {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;
using torch::Tensor;
__extension__ using Wide = __float128;  // exact for the sums below

// Elements, the scale of each, and a number for each that neighbours with one scale share.
struct Parts {
  Tensor q, scales, groups;
};

Tensor broadcast(const Tensor& scales, const Tensor& x) { return scales.expand_as(x).contiguous(); }

// int,8,scale=max: a scale for each index of `axis`, or one; torch's round() goes to even.
Parts int8_parts(const Tensor& x, std::int64_t axis) {
  Tensor amax = x.abs().amax();
  Tensor groups = torch::zeros({1});
  if (axis >= 0) {
    std::vector<std::int64_t> others, sizes(static_cast<std::size_t>(x.dim()), 1);
    for (std::int64_t d = 0; d < x.dim(); ++d) {
      if (d != axis) others.push_back(d);
    }
    sizes[static_cast<std::size_t>(axis)] = x.size(axis);
    amax = x.abs().amax(others).view(sizes);
    groups = torch::arange(x.size(axis), torch::kFloat).view(sizes);
  }
  const Tensor scales = broadcast(amax / 127.0f, x);
  return {(x / scales).round(), scales, broadcast(groups, x)};
}

// mxfp8_e4m3 along axis 1, the elements by the format alone.
Parts mxfp8_parts(const Tensor& x) {
  const Tensor scales = torch::empty_like(x), groups = torch::empty_like(x);
  for (std::int64_t first = 0; first < x.size(1); first += 32) {
    const auto block = [&](const Tensor& t) {
      return t.narrow(1, first, std::min<std::int64_t>(32, x.size(1) - first));
    };
    const Tensor amax = block(x).abs().amax(1, true);
    block(scales).copy_(torch::exp2(torch::floor(torch::log2(amax)) - 8).expand_as(block(x)));
    const Tensor numbers = torch::arange(amax.numel(), torch::kFloat).view_as(amax);
    block(groups).copy_((numbers * 1000 + static_cast<double>(first)).expand_as(block(x)));
  }
  return {quantize(x / scales, make_quantizer("float,4,3,special=fn")), scales, groups};
}

float at4(const Tensor& x, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t l) {
  return x.data_ptr<float>()[((i * x.size(1) + j) * x.size(2) + k) * x.size(3) + l];
}

// A 3 x 3 convolution (or 1 x 1) with stride 1, padded so that it keeps the size: exact sums of the
// elements of each segment, then t = float32(t + S * S * s). Kernel positions outside.
Tensor convolve(const Parts& x, const Parts& w) {
  const std::int64_t kernel = w.q.size(2), margin = kernel / 2;
  const Tensor y = torch::empty({x.q.size(0), w.q.size(0), x.q.size(2), x.q.size(3)});
  float* out = y.data_ptr<float>();
  for (std::int64_t n = 0; n < y.size(0); ++n)
    for (std::int64_t o = 0; o < y.size(1); ++o)
      for (std::int64_t i = 0; i < y.size(2); ++i)
        for (std::int64_t j = 0; j < y.size(3); ++j) {
          float t = 0;
          Wide s = 0, scale = 1;
          std::pair<float, float> group = {-1, -1};
          const auto end_segment = [&] { t = static_cast<float>(t + scale * s), s = 0; };
          for (std::int64_t a = 0; a < kernel; ++a)
            for (std::int64_t b = 0; b < kernel; ++b)
              for (std::int64_t c = 0; c < x.q.size(1); ++c) {
                const std::int64_t row = i + a - margin, column = j + b - margin;
                const bool is_inside =
                    row >= 0 && row < y.size(2) && column >= 0 && column < y.size(3);
                if (!is_inside) continue;
                const std::pair<float, float> its = {at4(x.groups, n, c, row, column),
                                                     at4(w.groups, o, c, a, b)};
                if (its != group) end_segment();
                group = its;
                scale = Wide{at4(x.scales, n, c, row, column)} * at4(w.scales, o, c, a, b);
                s += Wide{at4(x.q, n, c, row, column)} * at4(w.q, o, c, a, b);
              }
          end_segment();
          *out++ = t;
        }
  return y;
}

// `weights` and `intrinsic` are JSON.
Override maps(const std::string& weights, const std::string& data, const std::string& intrinsic) {
  return Override::from_json(R"({"weights": {"layer": )" + weights +
                             R"(}, "extrinsic": {"data": ")" + data +
                             R"("}, "intrinsic": {"layer": )" + intrinsic + "}}");
}

nn::Sequential data_and(torch::nn::AnyModule layer, const std::string& name = "layer") {
  nn::Sequential model;
  model->push_back("data", nn::Identity());
  model->push_back(name, std::move(layer));
  return model;
}

class ScaledOperandsOfLayers : public testing::Test {
 protected:
  ScaledOperandsOfLayers() { torch::manual_seed(3); }
  const torch::NoGradGuard no_gradient_;
};

TEST_F(ScaledOperandsOfLayers, AddUpIntegersOfAConvolutionAndScaleThemAtTheEnd) {
  const Tensor x = torch::randn({2, 5, 6, 4});
  nn::Conv2d layer(torch::nn::Conv2dOptions(5, 3, 3).padding(1).bias(false));
  nn::Sequential model = data_and(torch::nn::AnyModule(layer));
  for (const std::int64_t axis : {-1, 1}) {
    const std::string per = axis < 0 ? "" : "per=channel,";
    apply(model, maps(R"("int,8,per=channel,scale=max")", "int,8," + per + "scale=max",
                      R"({"accumulator": "even,32,0,overflow=wrap", "order": "tap",
                          "outer": {"accumulator": "float,8,23"}})"));
    const Tensor y = model->forward(x);
    EXPECT_TRUE(y.equal(convolve(int8_parts(x, axis), int8_parts(layer->weight, 0)))) << axis;
  }
}

TEST_F(ScaledOperandsOfLayers, AddUpBlocksOfAConvolutionAtEachKernelPosition) {
  const Tensor x = torch::randn({2, 40, 4, 3});
  nn::Conv2d layer(torch::nn::Conv2dOptions(40, 3, 3).padding(1).bias(false));
  nn::Sequential model = data_and(torch::nn::AnyModule(layer));
  apply(model, maps(R"("mxfp8_e4m3")", "mxfp8_e4m3", R"("mx")"));
  EXPECT_TRUE(model->forward(x).equal(convolve(mxfp8_parts(x), mxfp8_parts(layer->weight))));
}

TEST_F(ScaledOperandsOfLayers, AddUpALinearLayersRowsAndItsBias) {
  const Tensor x = torch::randn({4, 70});
  nn::Linear layer(70, 3);
  nn::Sequential model = data_and(torch::nn::AnyModule(layer));
  const auto as_image = [](const Tensor& t) { return t.view({t.size(0), t.size(1), 1, 1}); };
  const auto with_bias = [&](const Tensor& y) {
    const Tensor sum = y.view({4, 3}).to(torch::kDouble) + layer->bias.to(torch::kDouble);
    return sum.to(torch::kFloat);
  };
  apply(model, maps(R"({"weight": "mxfp8_e4m3", "bias": null})", "mxfp8_e4m3", R"("mx")"));
  EXPECT_TRUE(model->forward(x).equal(
      with_bias(convolve(mxfp8_parts(as_image(x)), mxfp8_parts(as_image(layer->weight))))));
  apply(model, maps(R"({"weight": "int,8,per=channel,scale=max", "bias": null})", "int,8,scale=max",
                    R"("int8_int32")"));
  EXPECT_TRUE(model->forward(x).equal(
      with_bias(convolve(int8_parts(as_image(x), -1), int8_parts(as_image(layer->weight), 0)))));
}

TEST_F(ScaledOperandsOfLayers, AverageElements) {
  const Tensor x = torch::randn({2, 5, 4, 4});
  nn::Sequential model = data_and(torch::nn::AnyModule(nn::AdaptiveAvgPool2d(1)));
  apply(model, maps("null", "int,8,scale=max", R"("int8_int32")"));
  const Parts parts = int8_parts(x, -1);
  const Tensor sums = parts.q.sum({2, 3}, true);  // exact
  Tensor wanted = torch::empty_like(sums);
  for (std::int64_t i = 0; i < sums.numel(); ++i) {
    const Wide sum = Wide{sums.data_ptr<float>()[i]} * parts.scales.data_ptr<float>()[0];
    wanted.data_ptr<float>()[i] = static_cast<float>(sum) / 16;
  }
  EXPECT_TRUE(model->forward(x).equal(wanted));
}

TEST_F(ScaledOperandsOfLayers, GoThroughLayersThatOnlyMoveValuesAndThroughViews) {
  const Tensor x = torch::randn({2, 6, 4, 4});
  nn::Linear layer(24, 3);
  nn::Sequential model;
  model->push_back("data", nn::Identity());
  model->push_back("relu", nn::ReLU(torch::nn::ReLUOptions(true)));
  model->push_back("pool", nn::MaxPool2d(2));
  model->push_back("flatten", nn::Flatten());
  model->push_back("layer", layer);
  for (const std::string granularity : {"", ",per=channel"}) {
    apply(model, maps(R"("int,8,scale=max")", "int,8,scale=max" + granularity, R"("int8_int32")"));
    const Tensor y = model->forward(x);
    Parts parts = int8_parts(x, granularity.empty() ? -1 : 1);
    const auto as_image = [](const Tensor& t) { return t.reshape({t.size(0), -1, 1, 1}); };
    parts.q = as_image(torch::max_pool2d(torch::relu(parts.q), 2));
    parts.scales = as_image(parts.scales.narrow(2, 0, 2).narrow(3, 0, 2));
    parts.groups = as_image(parts.groups.narrow(2, 0, 2).narrow(3, 0, 2));
    const Tensor sums = convolve(parts, int8_parts(as_image(layer->weight), -1)).view({2, 3});
    // The bias goes with the weights.
    const Tensor bias = quantize(layer->bias, make_quantizer("int,8,scale=max"));
    EXPECT_TRUE(y.equal((sums.to(torch::kDouble) + bias.to(torch::kDouble)).to(torch::kFloat)))
        << granularity;
  }
}

TEST_F(ScaledOperandsOfLayers, MayBeEmpty) {
  for (const std::string granularity : {"", ",per=channel", ",per=row"}) {
    nn::Sequential model =
        data_and(torch::nn::AnyModule(nn::Conv2d(torch::nn::Conv2dOptions(5, 3, 3).padding(1))));
    apply(model,
          maps(R"("int,8,per=channel,scale=max")", "int,8,scale=max" + granularity, R"("mx")"));
    EXPECT_EQ(model->forward(torch::ones({0, 5, 4, 4})).sizes(), at::IntArrayRef({0, 3, 4, 4}));
  }
}

// Attention takes the projections of queries, keys and values from rows of one matrix.
TEST_F(ScaledOperandsOfLayers, OfRowsAreSeenApartToo) {
  for (const auto& [weights, inside] :
       {std::pair("int,8,per=channel,scale=max", "int8_int32"), std::pair("mxfp8_e4m3", "mx")}) {
    nn::MultiheadAttention attention(64, 2);
    apply(attention, Override::from_json(std::string(R"({"weights": ")") + weights +
                                         R"(", "intrinsic": ")" + inside + R"("})"));
    attention->eval();
    const Tensor x = torch::randn({5, 3, 64}), again = x.clone(), once_more = x.clone();
    const auto output = [&](const Tensor& keys, const Tensor& values) {
      return std::get<0>(attention->forward(x, keys, values));
    };
    EXPECT_TRUE(at::equal(output(again, again), output(x, x))) << weights;
    EXPECT_TRUE(at::equal(output(again, once_more), output(x, x))) << weights;
  }
}

TEST_F(ScaledOperandsOfLayers, OfOtherTypesAreAnErrorThatNamesTheLayer) {
  nn::Sequential model = data_and(torch::nn::AnyModule(nn::Linear(4, 3)));
  apply(model, maps("null", "int,8,scale=max", R"("int8_int32")"));
  EXPECT_THAT(
      [&] {
        model->forward(torch::ones({2, 4}, torch::kHalf));
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("layer 'data'"), HasSubstr("Half"))));
}

TEST_F(ScaledOperandsOfLayers, AreRefusedWhereTheirScalesAreLost) {
  const auto error = [&](nn::Sequential model, const Override& override, const Tensor& x) {
    apply(model, override);
    try {
      model->forward(x);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto conv = [] {
    return torch::nn::AnyModule(nn::Conv2d(torch::nn::Conv2dOptions(40, 3, 3)));
  };
  const Tensor x = torch::randn({2, 40, 6, 6});
  EXPECT_THAT(error(data_and(conv()), maps("null", "mxfp8_e4m3", R"("int8_int32")"), x),
              AllOf(HasSubstr("layer 'layer'"), HasSubstr("order \"tap\"")));
  nn::Sequential pooled;
  pooled->push_back("data", nn::Identity());
  pooled->push_back("pool", nn::MaxPool2d(2));
  pooled->push_back("layer", conv());
  EXPECT_THAT(
      error(pooled, maps("null", "mxfp8_e4m3", R"("mx")"), x),
      AllOf(HasSubstr("layer 'layer'"), HasSubstr("what layer 'pool' (MaxPool2d) made of")));
  nn::Sequential changed;
  changed->push_back("data", nn::Identity());
  changed->push_back("change", torch::nn::Functional([](Tensor t) { return t.mul_(2); }));
  changed->push_back("layer", conv());
  EXPECT_THAT(error(changed, maps("null", "mxfp8_e4m3", R"("mx")"), x),
              HasSubstr("changed in place"));
  nn::Sequential turned;
  turned->push_back("data", nn::Identity());
  turned->push_back("turn", torch::nn::Functional([](Tensor t) { return t.transpose(2, 3); }));
  turned->push_back("layer", conv());
  EXPECT_THAT(error(turned, maps("null", "mxfp8_e4m3", R"("mx")"), x), HasSubstr("another order"));
  EXPECT_EQ(error(turned, maps("null", "int,8,scale=max", R"("int8_int32")"), x), "");
}

}  // namespace
}  // namespace tensorquant
