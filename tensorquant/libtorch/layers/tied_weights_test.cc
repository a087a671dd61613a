// One tensor as the parameter of two layers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "tensorquant/base/error.h"
#include "tensorquant/base/random.h"
#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/libtorch/tensors/test_quantizers.h"

namespace tensorquant {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;
using torch::Tensor;

constexpr std::int64_t kWords = 6, kFeatures = 4;

// A language model's ends: the weight that a word goes in by is the one that it comes out by.
struct TiedImpl : torch::nn::Cloneable<TiedImpl> {
  TiedImpl() { TiedImpl::reset(); }
  void reset() override {
    in = register_module("words", nn::Embedding(kWords, kFeatures));
    out = register_module("out", nn::Linear(kFeatures, kWords));
    out->weight = in->weight;
  }
  Tensor forward(const Tensor& words) { return out(in(words)); }
  nn::Embedding in{nullptr};
  nn::Linear out{nullptr};
};
TORCH_MODULE(Tied);

const Tensor& words() {
  static const Tensor all = torch::arange(kWords);
  return all;
}

Override override_of(const std::string& json) { return Override::from_json(json); }

TEST(TiedWeights, AreQuantizedAlikeAndGetBothGradients) {
  Tied model;
  EXPECT_THAT(apply(model, weights_with("nearest,8,4")).warnings, IsEmpty());
  const auto rows = summary(model);
  EXPECT_EQ(rows[0].weight, "nearest,8,4");
  EXPECT_EQ(rows[1].weight, "nearest,8,4");
  const Tensor y = model(words()), dy = torch::randn({kWords, kWords});
  y.backward(dy);

  // By hand: y = w w' + b at the quantized w, so that dw = dy w + dy' w.
  const Tensor w = quantized(model->in->weight), b = quantized(model->out->bias);
  EXPECT_TRUE(torch::equal(y, torch::addmm(b, w, w.t())));
  EXPECT_TRUE(torch::allclose(model->in->weight.grad(), dy.mm(w) + dy.t().mm(w)));
  EXPECT_TRUE(torch::equal(model->out->bias.grad(), dy.sum(0)));
  strip(model);
  EXPECT_TRUE(torch::equal(
      model(words()), torch::addmm(model->out->bias, model->in->weight, model->in->weight.t())));
}

// 0.3 rounded to an integer at random, as the element's random word says.
Tensor drawn(const std::string& layer, std::uint32_t step) {
  Tensor y = torch::empty({kWords, kFeatures});
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const double u = std::ldexp(random_word({9, stream_of(layer, "weight"), step}, i) >> 8, -24);
    y.view(-1)[i] = u < 0.3F ? 1 : 0;
  }
  return y;
}

TEST(TiedWeights, AreRoundedWithTheRandomNumbersOfTheFirstLayer) {
  Tied model;
  Override maps = override_of(R"({"weights": {"": {"weight": "stochastic,8,0"}}})");
  maps.seed = 9;
  apply(model, maps);
  const torch::NoGradGuard no_gradient;
  model->in->weight.fill_(0.3);
  model->out->bias.fill_(0);
  for (std::uint32_t step = 0; step < 3; ++step) {
    EXPECT_TRUE(torch::equal(model->in(words()), drawn("words", step)));
    EXPECT_TRUE(torch::equal(model->out(torch::eye(kFeatures)), drawn("words", step).t()));
  }
}

TEST(TiedWeights, NeedOneQuantizerAndTheErrorSaysWhere) {
  Tied model;
  apply(model, weights_with("nearest,8,4"));
  EXPECT_THAT(
      [&] {
        apply(model, override_of(R"({"weights": {"words": "nearest,8,2",
                                                             "out": "ternary"}})"));
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("'words' and 'out'"), HasSubstr("nearest,8,2"),
                                 HasSubstr("ternary"), HasSubstr("weights \"words\""),
                                 HasSubstr("weights \"out\""), HasSubstr("same rule"))));
  EXPECT_THAT([&] { apply(model, override_of(R"({"weights": {"out": "ternary"}})")); },
              ThrowsMessage<Error>(AllOf(HasSubstr("'words' by no rule"), HasSubstr("ternary"))));
  EXPECT_EQ(summary(model)[0].weight, "nearest,8,4") << "nothing has changed";
  // Two rules may say the same, and other parameters may have other quantizers.
  apply(model, override_of(R"({"weights": {"words": "nearest,8,2",
                               "out": {"weight": "nearest,8,2", "bias": "nearest,16,8"}}})"));
  apply(model, override_of(R"({"weights": {"out": {"bias": "nearest,16,8"}}})"));
  EXPECT_EQ(summary(model)[1].weight, "");
}

// A layer that takes its weight from elsewhere and registers nothing.
struct BorrowsImpl : torch::nn::Module {
  explicit BorrowsImpl(Tensor weight) : weight(std::move(weight)) {}
  Tensor forward(const Tensor& x) { return x.mm(weight); }
  Tensor weight;
};

struct BorrowingImpl : torch::nn::Module {
  Tensor shared = register_parameter("shared", torch::randn({3, 3}));
  std::shared_ptr<QLayer<BorrowsImpl>> a =
      register_module("a", std::make_shared<QLayer<BorrowsImpl>>(shared));
  std::shared_ptr<QLayer<BorrowsImpl>> b =
      register_module("b", std::make_shared<QLayer<BorrowsImpl>>(shared));
};

TEST(TiedWeights, MayBelongToTheModelItself) {
  BorrowingImpl model;
  apply(model, weights_with("nearest,8,4"));
  const Tensor x = torch::randn({2, 3});
  EXPECT_TRUE(torch::equal(model.a->forward(x), x.mm(quantized(model.shared))));
  EXPECT_TRUE(torch::equal(model.b->forward(x), x.mm(quantized(model.shared))));
  apply(model, weights_with("stochastic,8,4"));
  EXPECT_TRUE(torch::equal(model.a->forward(x), model.b->forward(x)));
}

TEST(TiedWeights, OfOneModelAreNotThoseOfAnother) {
  Tied model;
  EXPECT_THAT([&] { apply(model->out, weights_with("nearest,8,4")); },
              ThrowsMessage<Error>(AllOf(HasSubstr("'weight'"), HasSubstr("null"))));
}

TEST(TiedWeights, ComeBackFromAnArchiveAndAreCopiedAsLibtorchDoes) {
  Tied model, loaded;
  apply(model, weights_with("nearest,8,4"));
  apply(loaded, weights_with("nearest,8,4"));
  std::stringstream archive;
  torch::save(model, archive);
  torch::load(loaded, archive);
  EXPECT_TRUE(torch::equal(loaded(words()), model(words())));
  EXPECT_TRUE(loaded->out->weight.is_same(loaded->in->weight));

  // libtorch's copy is untied, and so is one with quantizers.
  Tied copy = clone(model);
  EXPECT_FALSE(copy->out->weight.is_same(copy->in->weight));
  EXPECT_EQ(summary(copy)[1].weight, "nearest,8,4");
  const auto plain = std::dynamic_pointer_cast<TiedImpl>(model->clone());
  for (const auto& p : plain->named_parameters()) {
    EXPECT_TRUE(torch::equal(copy->named_parameters()[p.key()], p.value())) << p.key();
  }
  copy->out->weight = copy->in->weight;
  apply(copy, weights_with("nearest,8,4"));
  EXPECT_TRUE(torch::equal(copy(words()), model(words())));
}

}  // namespace
}  // namespace tensorquant
