#include <gmock/gmock.h>

#include <map>

#include "tensorquant/onnx_torch/test_models.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::map<std::string, LayerFacts> facts_by_name(const onnx::ModelProto& model,
                                                const at::Tensor& input) {
  std::map<std::string, LayerFacts> found;
  for (LayerFacts& one : make_onnx_model(model, "net.onnx")->layer_facts({input})) {
    const std::string name = one.layer;
    EXPECT_TRUE(found.emplace(name, std::move(one)).second) << name;
  }
  return found;
}

onnx::Tensor ones(const std::string& name, std::vector<std::int64_t> dims) {
  std::int64_t count = 1;
  for (const std::int64_t size : dims) count *= size;
  return floats(name, std::move(dims), std::vector<float>(static_cast<std::size_t>(count), 1));
}

// Two samples through a convolution, a ReLU, a pool and a product with a bias behind it.
TEST(OnnxLayerFacts, AreThoseOfOneSampleByHand) {
  onnx::NodeProto conv = node("Conv", {"x", "conv.weight", "conv.bias"}, {"a"}, "conv");
  onnx::NodeProto pool = node("MaxPool", {"b"}, {"c"}, "pool");
  pool.attributes = {attribute("kernel_shape", Integers{2, 2}),
                     attribute("strides", Integers{2, 2})};
  const auto facts = facts_by_name(
      model_of(
          {conv, node("Relu", {"a"}, {"b"}, "relu"), pool, node("Flatten", {"c"}, {"d"}, "flatten"),
           node("MatMul", {"d", "fc.weight"}, {"e"}, "fc"), node("Add", {"e", "fc.bias"}, {"y"})},
          {ones("conv.weight", {4, 3, 3, 3}), ones("conv.bias", {4}), ones("fc.weight", {36, 10}),
           ones("fc.bias", {10})}),
      at::zeros({2, 3, 8, 8}));
  ASSERT_EQ(facts.size(), 6U);
  EXPECT_EQ(facts.at("input:x").outputs, 192);
  EXPECT_THAT(facts.at("input:x").sources, IsEmpty());

  const LayerFacts& first = facts.at("conv");
  EXPECT_EQ(first.inputs, 192);
  EXPECT_EQ(first.outputs, 4 * 6 * 6);
  EXPECT_EQ(first.terms, 27);
  EXPECT_EQ(first.macs, 144 * 27);
  EXPECT_EQ(first.weights, 108);
  EXPECT_EQ(first.biases, 4);
  EXPECT_THAT(first.sources, ElementsAre("input:x"));
  EXPECT_FALSE(first.moves_values);

  EXPECT_EQ(facts.at("relu").macs, 0);
  EXPECT_TRUE(facts.at("relu").moves_values);
  EXPECT_EQ(facts.at("pool").inputs, 144);
  EXPECT_EQ(facts.at("pool").outputs, 36);

  const LayerFacts& last = facts.at("fc");
  EXPECT_EQ(last.macs, 360);
  EXPECT_EQ(last.terms, 36);
  EXPECT_EQ(last.biases, 10);
  EXPECT_THAT(last.sources, ElementsAre("flatten"));
}

// Each of 2 * 5 * 5 inputs meets 3 * 3 * 3 weights; an output at most 2 channels * 2 * 2 of them.
TEST(OnnxLayerFacts, OfTransposedConvolutionsCountEachInputsProducts) {
  onnx::NodeProto up = node("ConvTranspose", {"x", "w"}, {"y"}, "up");
  up.attributes = {attribute("strides", Integers{2, 2})};
  const auto facts =
      facts_by_name(model_of({up}, {ones("w", {2, 3, 3, 3})}), at::zeros({1, 2, 5, 5}));
  EXPECT_EQ(facts.at("up").macs, 50 * 27);
  EXPECT_EQ(facts.at("up").terms, 2 * 2 * 2);
  EXPECT_EQ(facts.at("up").outputs, 3 * 11 * 11);
}

TEST(OnnxLayerFacts, OfProductsKnowOnWhichSideTheWeightIs) {
  onnx::NodeProto gemm = node("Gemm", {"a", "g"}, {"b"}, "gemm");
  gemm.attributes = {attribute("transB", 1)};
  const auto facts = facts_by_name(model_of({node("MatMul", {"l", "x"}, {"a"}, "left"), gemm,
                                             node("MatMul", {"b", "v"}, {"y"}, "vector")},
                                            {ones("l", {6, 4}), ones("g", {7, 5}), ones("v", {7})}),
                                   at::zeros({4, 5}));
  EXPECT_EQ(facts.at("left").terms, 4);
  EXPECT_EQ(facts.at("gemm").terms, 5);
  EXPECT_EQ(facts.at("vector").terms, 7);
}

TEST(OnnxLayerFacts, OfInputsThatAreLeftOutCountNothing) {
  onnx::NodeProto half = node("Split", {"x"}, {"a", ""}, "half");
  half.attributes = {attribute("axis", 1)};
  const auto facts = facts_by_name(
      model_of({half, node("Clip", {"a", "", "top"}, {"y"}, "clip")}, {floats("top", {}, {6})}),
      at::zeros({1, 8}));
  EXPECT_EQ(facts.at("clip").inputs, 4);
  EXPECT_THAT(facts.at("clip").sources, ElementsAre("half"));
}

}  // namespace
}  // namespace tensorquant
