// Layers that work on values under an intrinsic map: functions, softmax, normalizations.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/nn/nn.h"
#include "tests/floats.h"
#include "tests/golden/arithmetic_case.h"
#include "tests/golden/json_lines.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

namespace o = torch::nn;  // options
using Sizes = std::vector<std::int64_t>;

Override intrinsic(const std::string& text) {
  return Override::from_json(R"({"intrinsic": )" + text + "}");
}

// A case of tests/golden/arithmetic_values.jsonl, through the layers of torch::nn.
template <class T>
class GoldenCase {
 public:
  explicit GoldenCase(const json& entry)
      : entry_(entry),
        kind_(entry["kind"]),
        layer_{.arithmetic = arithmetic_of(entry), .context = context_of(entry)},
        a_(tensor("a")) {
    if (entry["shape"].contains("x")) a_ = a_.reshape(entry["shape"]["x"].get<Sizes>());
  }

  // Nothing of a kind that torch::nn has no layer for, nor we a function.
  torch::Tensor result() const {
    if (kind_ == "function")
      return of_function(make_function(entry_["shape"]["function"].get<std::string>()));
    if (kind_ == "softmax") return call(o::Softmax(-1));
    if (kind_ == "log_softmax") return call(o::LogSoftmax(-1));
    if (kind_ == "layer_norm" || kind_ == "group_norm") return of_norm();
    if (kind_ == "rms_norm") return {};
    if (layer_.arithmetic.weight_min_exponent) return {};  // of two activations none is known
    const torch::Tensor b = tensor("b");
    if (kind_ == "add") return rounded_add(layer_, a_, b);
    if (kind_ == "sub") return rounded_subtract(layer_, a_, b);
    if (kind_ == "mul") return rounded_multiply(layer_, a_, b);
    if (kind_ == "div") return rounded_divide(layer_, a_, b);
    return rounded_matrix_product(layer_, a_.reshape(entry_["shape"]["a"].get<Sizes>()),
                                  b.reshape(entry_["shape"]["b"].get<Sizes>()));
  }

 private:
  torch::Tensor tensor(const char* key) const {
    const std::vector<T> values = optional_values<T>(entry_, key);
    return entry_.contains(key) ? torch::tensor(values, c10::CppTypeToScalarType<T>::value)
                                : torch::Tensor();
  }

  template <class Holder>
  torch::Tensor call(Holder layer) const {
    return RoundedForward<typename Holder::ContainedType>::call(*layer, layer_, a_);
  }

  torch::Tensor of_function(Function function) const {
    switch (function) {
      case Function::gelu:
        return call(o::GELU());
      case Function::gelu_tanh:
        return call(o::GELU(o::GELUOptions().approximate("tanh")));
      case Function::silu:
        return call(o::SiLU());
      case Function::sigmoid:
        return call(o::Sigmoid());
      case Function::tanh:
        return call(o::Tanh());
      case Function::softplus:
        return call(o::Softplus());
      default:
        return rounded_function(layer_, function, a_);
    }
  }

  torch::Tensor of_norm() const {
    const double epsilon = values_of<T>(entry_["eps"])[0];
    const auto with_parameters = [&](auto layer, const Sizes& sizes) {
      layer->weight = entry_.contains("gamma") ? tensor("gamma").reshape(sizes) : torch::Tensor();
      layer->bias = entry_.contains("beta") ? tensor("beta").reshape(sizes) : torch::Tensor();
      return call(layer);
    };
    if (kind_ == "group_norm") {
      const std::int64_t groups = entry_["shape"]["groups"], channels = a_.size(1);
      return with_parameters(o::GroupNorm(o::GroupNormOptions(groups, channels).eps(epsilon)),
                             {channels});
    }
    const Sizes sizes(a_.sizes().end() - entry_["shape"]["dimensions"].get<std::int64_t>(),
                      a_.sizes().end());
    return with_parameters(o::LayerNorm(o::LayerNormOptions(sizes).eps(epsilon)), sizes);
  }

  const json& entry_;
  const std::string kind_;
  const LayerArithmetic layer_;
  torch::Tensor a_;
};

template <class T>
bool has_golden_bits(const json& entry) {
  const torch::Tensor y = GoldenCase<T>(entry).result();
  if (!y.defined()) return false;
  const std::vector<T> wanted = values_of<T>(entry["y"]);
  EXPECT_EQ(y.numel(), static_cast<std::int64_t>(wanted.size()));
  EXPECT_TRUE(y.is_contiguous());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_TRUE(same_bits(y.data_ptr<T>()[i], wanted[i])) << "output " << i;
  }
  return true;
}

TEST(RoundedValues, HaveTheGoldenBits) {
  std::map<std::string, int> kinds;
  int number = 0;
  for (const json& entry : json_lines("arithmetic_values.jsonl")) {
    SCOPED_TRACE("line " + std::to_string(++number));
    const bool is_known =
        entry["type"] == "float32" ? has_golden_bits<float>(entry) : has_golden_bits<double>(entry);
    if (is_known) ++kinds[entry["kind"]];
    if (HasFailure()) return;
  }
  EXPECT_GT(kinds["function"], 400);
  EXPECT_GT(kinds["softmax"], 100);
  EXPECT_GT(kinds["log_softmax"], 100);
  EXPECT_GT(kinds["layer_norm"], 100);
  EXPECT_GT(kinds["group_norm"], 100);
  EXPECT_GT(kinds["products"], 50);
}

// The gradients of the layer's input and parameters, one after the other.
template <class Layer>
std::vector<torch::Tensor> gradients_of(Layer layer, const torch::Tensor& x) {
  const torch::Tensor input = x.detach().clone().requires_grad_();
  const torch::Tensor y = layer->forward(input);
  y.backward(torch::arange(y.numel()).remainder(7).sub(3).to(y.dtype()).reshape(y.sizes()));
  std::vector<torch::Tensor> all = {input.grad()};
  for (const torch::Tensor& parameter : layer->parameters()) all.push_back(parameter.grad());
  return all;
}

template <class Twin, class Plain>
void expect_the_float_gradient(Plain plain, at::IntArrayRef sizes) {
  Twin twin(plain->options);
  ASSERT_EQ(twin->parameters().size(), plain->parameters().size());
  apply(twin, intrinsic(R"("nearest,8,4")"));
  const torch::Tensor x = torch::randn(sizes);
  EXPECT_FALSE(at::equal(twin->forward(x), plain->forward(x))) << "nothing is rounded";
  const auto found = gradients_of(twin, x), wanted = gradients_of(plain, x);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_TRUE(at::equal(found[i], wanted[i])) << twin->type() << ", gradient " << i;
  }
}

TEST(RoundedValues, HaveTheFloatLayersGradient) {
  torch::manual_seed(3);
  expect_the_float_gradient<nn::LayerNorm>(o::LayerNorm(o::LayerNormOptions({3, 5})), {4, 3, 5});
  expect_the_float_gradient<nn::GroupNorm>(o::GroupNorm(2, 4), {3, 4, 5});
  expect_the_float_gradient<nn::InstanceNorm1d>(
      o::InstanceNorm1d(o::InstanceNorm1dOptions(3).affine(true)), {2, 3, 5});
  expect_the_float_gradient<nn::InstanceNorm2d>(o::InstanceNorm2d(3), {3, 4, 5});
  expect_the_float_gradient<nn::InstanceNorm3d>(o::InstanceNorm3d(2), {2, 2, 3, 2, 3});
  expect_the_float_gradient<nn::Softmax>(o::Softmax(1), {3, 4, 5});
  expect_the_float_gradient<nn::LogSoftmax>(o::LogSoftmax(-1), {3, 4, 5});
  expect_the_float_gradient<nn::GELU>(o::GELU(), {4, 5});
  expect_the_float_gradient<nn::GELU>(o::GELU(o::GELUOptions().approximate("tanh")), {4, 5});
  expect_the_float_gradient<nn::Softplus>(o::Softplus(), {4, 5});
  expect_the_float_gradient<nn::LeakyReLU>(o::LeakyReLU(o::LeakyReLUOptions().negative_slope(0.3)),
                                           {4, 5});
}

TEST(RoundedValues, WithoutElementsHaveGradientsWithoutElements) {
  nn::Add add;
  apply(add, intrinsic(R"("nearest,8,4")"));
  const torch::Tensor a = torch::ones({0}).requires_grad_(), b = torch::ones({0}).requires_grad_();
  add->forward(a, b).sum().backward();
  EXPECT_EQ(a.grad().numel() + b.grad().numel(), 0);
}

TEST(RoundedValues, ClipTheGradientWhereTheLastSumLeavesTheRange) {
  nn::LayerNorm norm(o::LayerNormOptions({2}));
  const torch::Tensor shift = torch::tensor({100.0F, 0.0F});
  norm->bias.data().copy_(shift);
  apply(norm, intrinsic(R"({"": {"product": "none", "accumulator": "nearest,6,0,grad=clipped"}})"));
  const torch::Tensor x = torch::tensor({{1.0F, 3.0F}}).requires_grad_();
  const torch::Tensor y = norm->forward(x);
  EXPECT_TRUE(at::equal(y, torch::tensor({{31.0F, 1.0F}})));  // -1 + 100 saturates
  y.sum().backward();
  EXPECT_TRUE(at::equal(norm->bias.grad(), torch::tensor({0.0F, 1.0F})));
}

// Under integers of 32 bits a softmax would be 0 or 1.
TEST(RoundedValues, KnowTheOuterOfTwoAccumulatorsAlone) {
  nn::Softmax softmax(1);
  apply(softmax, intrinsic(R"("int8_int32")"));
  const torch::Tensor x = torch::tensor({{0.0F, 0.0F, 0.0F, 0.0F}});
  EXPECT_TRUE(at::equal(softmax->forward(x), torch::full({1, 4}, 0.25F)));
}

TEST(RoundedValues, HaveRandomNumbersOfTheirLayer) {
  nn::Sequential model;
  model->push_back("first", nn::Sigmoid());
  model->push_back("second", nn::Sigmoid());
  Override maps = intrinsic(R"("stochastic,8,4")");
  maps.seed = 5;
  apply(model, maps);
  model->eval();
  const torch::Tensor x = torch::randn({100});
  const auto stochastic = make_quantizer("stochastic,8,4");
  const LayerArithmetic arithmetic{
      .arithmetic = make_arithmetic(*stochastic, *stochastic, {}),
      .context = {5, stream_of("second", "product"), stream_of("second", "accumulator"), 0}};
  const torch::Tensor found = model[1]->as<nn::Sigmoid>()->forward(x);
  EXPECT_TRUE(at::equal(found, rounded_function(arithmetic, Function::sigmoid, x)));
  EXPECT_FALSE(at::equal(found, model[0]->as<nn::Sigmoid>()->forward(x)));
}

TEST(RoundedValues, OfOptionsThatAreNotCoveredAreRefusedByApply) {
  nn::Sequential model(nn::InstanceNorm2d(o::InstanceNorm2dOptions(3).track_running_stats(true)),
                       nn::InstanceNorm2d(3), nn::Softplus(o::SoftplusOptions().beta(2)),
                       nn::Softplus(o::SoftplusOptions().threshold(5)), nn::Softplus());
  EXPECT_THAT(
      [&] { apply(model, intrinsic(R"("nearest,16,8")")); },
      ThrowsMessage<Error>(AllOf(HasSubstr("'0' (InstanceNorm2d)"), HasSubstr("'2' (Softplus)"),
                                 HasSubstr("'3' (Softplus)"), testing::Not(HasSubstr("'1'")),
                                 testing::Not(HasSubstr("'4'")))));
}

}  // namespace
}  // namespace tensorquant
