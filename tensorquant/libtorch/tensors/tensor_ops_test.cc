#include "tensorquant/libtorch/tensors/tensor_ops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <memory>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/tensors/test_quantizers.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
using torch::Tensor;

// Position dependent, so that a wrong order of elements shows.
std::shared_ptr<const Quantizer> stochastic() { return make_quantizer("stochastic,8,4"); }
const Context kContext = {7, 8, 9};

bool same_bits(const Tensor& a, const Tensor& b) {
  return torch::equal(a.contiguous().view(torch::kInt), b.contiguous().view(torch::kInt));
}

class EveryLayout : public testing::TestWithParam<const char*> {
 protected:
  // The same numbers in several layouts.
  static Tensor laid_out(const Tensor& x) {
    const std::string layout = GetParam();
    if (layout == "contiguous") return x;
    if (layout == "channels_last") return x.contiguous(torch::MemoryFormat::ChannelsLast);
    if (layout == "permuted") return x.permute({3, 1, 0, 2}).contiguous().permute({2, 1, 3, 0});
    if (layout == "strided") return torch::stack({x, -x}, 4).select(4, 0);
    if (layout == "expanded") return x.slice(0, 0, 1).expand_as(x);
    ADD_FAILURE() << layout;
    return x;
  }
  const Tensor x_ = torch::randn({2, 3, 4, 5}) * 3;
};

TEST_P(EveryLayout, GivesTheBitsOfTheContiguousTensor) {
  for (const char* spec : {"nearest,8,4", "stochastic,8,4", "ternary", "float,4,3"}) {
    const auto quantizer = make_quantizer(spec);
    for (const auto type : {torch::kFloat, torch::kDouble}) {
      const Tensor x = laid_out(x_.to(type));
      const Tensor copy = x.clone();
      const Tensor y = quantize(x, *quantizer, kContext);
      EXPECT_TRUE(torch::equal(y, quantize(x.contiguous(), *quantizer, kContext))) << spec;
      EXPECT_TRUE(torch::equal(x, copy)) << "the input has changed";
      EXPECT_EQ(y.scalar_type(), type);
      EXPECT_EQ(y.strides(), torch::empty_like(x).strides()) << "not the input's memory format";
    }
  }
}

TEST_P(EveryLayout, IsOverwrittenInPlace) {
  if (GetParam() == std::string("expanded")) GTEST_SKIP() << "its elements share memory";
  for (const char* spec : {"nearest,8,4", "stochastic,8,4", "ternary"}) {
    const auto quantizer = make_quantizer(spec);
    const Tensor x = laid_out(x_.clone());
    const Tensor expected = quantize(x, *quantizer, kContext);
    const auto version = x._version();
    quantize_(x, *quantizer, kContext);
    EXPECT_TRUE(torch::equal(x, expected)) << spec;
    EXPECT_GT(x._version(), version) << "autograd cannot see the change";
  }
}

INSTANTIATE_TEST_SUITE_P(, EveryLayout,
                         testing::Values("contiguous", "channels_last", "permuted", "strided",
                                         "expanded"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Quantize, DrawsTheRandomWordOfTheElement) {
  const Tensor x = torch::full({3, 50}, 0.3F);
  const Tensor y = quantize(x, *make_quantizer("stochastic,8,0"), kContext);
  for (int i = 0; i < 150; ++i) {
    const bool up = std::ldexp(random_word(kContext.random(), i) >> 8, -24) < 0.3F;
    EXPECT_EQ(y.view(-1)[i].item<float>(), up ? 1 : 0) << i;
  }
}

TEST(Quantize, LeavesEmptyTensorsEmpty) {
  for (const auto& sizes : std::vector<std::vector<std::int64_t>>{{0}, {2, 0, 3}}) {
    const Tensor y = quantize(torch::empty(sizes), *stochastic());
    EXPECT_EQ(y.sizes(), sizes);
    quantize_(torch::empty(sizes), *stochastic());
  }
}

TEST(Quantize, RefusesWhatItCannotQuantize) {
  const auto refuses = [](const Tensor& x) {
    EXPECT_THAT([&] { quantize(x, *stochastic()); },
                ThrowsMessage<Error>(HasSubstr("cannot quantize")));
    EXPECT_THROW(quantize_(x, *stochastic()), Error);
  };
  refuses(torch::ones({2}, torch::kHalf));
  refuses(torch::ones({2}, torch::kBFloat16));
  refuses(torch::ones({2}, torch::kLong));
  refuses(torch::ones({2, 2}).to_sparse());
  refuses(Tensor());
}

TEST(QuantizeGradient, IsTheOutputsGradientWithoutANode) {
  const auto nearest = make_quantizer("nearest,8,4");
  const Tensor x = torch::randn({4, 5}, torch::requires_grad());
  const Tensor y = quantize(x, nearest);
  EXPECT_TRUE(y.requires_grad());
  EXPECT_EQ(y.grad_fn()->name(), torch::autograd::impl::gradient_edge(x).function->name());
  const Tensor dy = torch::randn({4, 5});
  y.backward(dy);
  EXPECT_TRUE(torch::equal(x.grad(), dy));
}

TEST(QuantizeGradient, FlowsThroughInnerTensorsAndAddsUp) {
  const auto nearest = make_quantizer("nearest,8,4");
  const Tensor x = torch::randn({4, 5}, torch::requires_grad());
  const Tensor inner = x * 3;
  const Tensor y = quantize(inner, *nearest);
  (y.square().sum() + inner.sum()).backward();
  EXPECT_TRUE(torch::equal(x.grad(), (2 * y.detach() + 1) * 3));
}

TEST(QuantizeGradient, IsWhatTheQuantizerSays) {
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    const auto quantizer = std::make_shared<TestQuantizer>();
    const Tensor x = torch::randn({2, 3, 4, 5}, torch::requires_grad().dtype(type));
    const Tensor strided = x.permute({0, 2, 3, 1});
    const Tensor y = quantize(strided, quantizer);
    EXPECT_TRUE(torch::equal(y, torch::floor(strided)));
    y.sum().backward();  // of an expanded scalar
    const Tensor x_value = x.detach();
    EXPECT_TRUE(torch::equal(x.grad(), x_value + 10 * torch::floor(x_value) + 100));
  }
}

TEST(QuantizeGradient, OutlivesTheCallersQuantizer) {
  Tensor x = torch::ones({3}, torch::requires_grad());
  Tensor y = quantize(x, std::make_shared<TestQuantizer>());
  y.sum().backward();
  EXPECT_TRUE(torch::equal(x.grad(), torch::full({3}, 111.0)));
}

TEST(QuantizeGradient, OfABorrowedQuantizerIsAnErrorUnlessStraightThrough) {
  const TestQuantizer quantizer;
  const Tensor x = torch::ones({3}, torch::requires_grad());
  EXPECT_THAT([&] { quantize(x, quantizer); }, ThrowsMessage<Error>(HasSubstr("shared pointer")));
  const torch::NoGradGuard no_gradient;
  EXPECT_TRUE(torch::equal(quantize(x, quantizer), x));
}

TEST(QuantizeGradient, HasNoGradientOfItsOwnUnlessStraightThrough) {
  const Tensor x = torch::randn({3}, torch::requires_grad());
  const Tensor y = quantize(x * x, make_quantizer("nearest,8,4")).square().sum();
  const Tensor dx = torch::autograd::grad({y}, {x}, {}, true, /*create_graph=*/true)[0];
  EXPECT_TRUE(dx.requires_grad());

  const Tensor z = quantize(x * x, std::make_shared<TestQuantizer>()).sum();
  EXPECT_THAT([&] { torch::autograd::grad({z}, {x}, {}, true, /*create_graph=*/true); },
              ThrowsMessage<std::exception>(HasSubstr("no gradient of its own")));
}

TEST(QuantizeInPlace, IsForDataOnly) {
  Tensor x = torch::ones({3}, torch::requires_grad());
  EXPECT_THAT([&] { quantize_(x, *stochastic()); }, ThrowsMessage<Error>(HasSubstr("NoGradGuard")));
  const torch::NoGradGuard no_gradient;
  quantize_(x, *stochastic());
}

TEST(QuantizeConsuming, OverwritesOnlyMemoryThatNobodyElseSees) {
  const auto nearest = make_quantizer("nearest,8,4");
  const auto overwrites = [&](Tensor x) {
    const void* memory = x.data_ptr();
    return quantize_consuming(std::move(x), nearest).data_ptr() == memory;
  };
  EXPECT_TRUE(overwrites(torch::randn({4})));
  EXPECT_TRUE(overwrites(torch::randn({2, 3, 4, 4}).contiguous(torch::MemoryFormat::ChannelsLast)));

  const Tensor shared = torch::randn({4});
  EXPECT_FALSE(overwrites(shared));
  EXPECT_FALSE(overwrites(shared.view({2, 2})));
  EXPECT_FALSE(overwrites(shared.detach()));
  std::vector<float> lent(4, 0.3F);
  EXPECT_FALSE(overwrites(torch::from_blob(lent.data(), {4})));
  EXPECT_EQ(lent[0], 0.3F);

  const Tensor x = torch::randn({4}, torch::requires_grad());
  EXPECT_TRUE(overwrites(x + x));
  EXPECT_FALSE(overwrites(torch::sigmoid(x))) << "sigmoid's backward pass needs its result";
  EXPECT_FALSE(overwrites(torch::relu(x)));
}

TEST(QuantizeReluConsuming, IsReluThenQuantizeBitForBit) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor special = torch::tensor({-0.0F, 0.0F, -1.0F, 2.3F, inf, -inf, nan, 1e-45F});
  std::vector<std::shared_ptr<const Quantizer>> quantizers = {std::make_shared<TestQuantizer>()};
  for (const char* spec : {"nearest,8,4", "float,5,2", "logarithmic", "ternary", "stochastic,8,4",
                           "nearest,8,4,grad=clipped"}) {
    quantizers.push_back(make_quantizer(spec));
  }
  for (const auto& quantizer : quantizers) {
    // The second is longer than a piece, the last is not dense.
    for (const Tensor& values :
         {special.repeat({5}), special.repeat({40, 250}),
          torch::randn({2, 3, 5, 5}).contiguous(torch::MemoryFormat::ChannelsLast),
          special.repeat({5, 2}).slice(1, 0, 9), torch::empty({0, 3})}) {
      Tensor x = values.detach().clone().requires_grad_();
      Tensor z = values.detach().clone().requires_grad_();
      const Tensor y = quantize_relu_consuming(Tensor(x), quantizer, kContext);
      const Tensor expected = quantize(torch::relu(z), quantizer, kContext);
      EXPECT_TRUE(same_bits(y, expected)) << quantizer->spec();
      const Tensor dy = torch::randn(values.sizes());
      y.backward(dy);
      expected.backward(dy);
      EXPECT_TRUE(same_bits(x.grad(), z.grad())) << quantizer->spec();

      const torch::NoGradGuard no_gradient;
      Tensor kept = values.clone();
      EXPECT_TRUE(same_bits(quantize_relu_consuming(Tensor(kept), quantizer, kContext), expected));
      EXPECT_TRUE(same_bits(kept, values)) << "it belongs to somebody else";
      EXPECT_TRUE(
          same_bits(quantize_relu_consuming(std::move(kept), quantizer, kContext), expected));
    }
  }
}

TEST(QuantizeReluConsuming, OverwritesMemoryThatNobodyElseSees) {
  Tensor x = torch::randn({4});
  const void* memory = x.data_ptr();
  EXPECT_EQ(quantize_relu_consuming(std::move(x), make_quantizer("nearest,8,4")).data_ptr(),
            memory);
}

}  // namespace
}  // namespace tensorquant
