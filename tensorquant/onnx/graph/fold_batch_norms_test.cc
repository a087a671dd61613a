#include "tensorquant/onnx/graph/fold_batch_norms.h"

#include <gmock/gmock.h>

#include <span>
#include <utility>

namespace tensorquant::onnx {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Texts = std::vector<std::string>;
using Sizes = std::vector<std::int64_t>;

Tensor constant(const std::string& name, Sizes dims, const std::vector<float>& values) {
  Tensor tensor =
      make_tensor(DataType::f32, std::move(dims), std::as_bytes(std::span<const float>(values)));
  tensor.name = name;
  return tensor;
}

NodeProto node(const std::string& type, Texts inputs, const std::string& output) {
  NodeProto made;
  made.op_type = type;
  made.inputs = std::move(inputs);
  made.outputs = {output};
  return made;
}

Attribute attribute(const std::string& name, std::int64_t value) {
  Attribute made;
  made.name = name;
  made.type = AttributeType::i;
  made.i = value;
  return made;
}

// x -> the product -> p -> batch normalization -> y, with the factors 2 and -3: the means are 1 and
// -1, and 10 and 20 are added.
ModelProto normalized(NodeProto product, std::vector<Tensor> constants) {
  ModelProto model;
  model.ir_version = 8;
  NodeProto norm = node("BatchNormalization", {"p", "gamma", "beta", "mean", "variance"}, "y");
  norm.name = "norm";
  Attribute epsilon;
  epsilon.name = "epsilon";
  epsilon.type = AttributeType::f;
  epsilon.f = 0.25F;
  norm.attributes = {epsilon};
  model.graph.nodes = {std::move(product), norm};
  model.graph.initializers = std::move(constants);
  for (const Tensor& one :
       {constant("gamma", {2}, {4, -3}), constant("beta", {2}, {10, 20}),
        constant("mean", {2}, {1, -1}), constant("variance", {2}, {3.75F, 0.75F})}) {
    model.graph.initializers.push_back(one);
  }
  ValueInfo y;
  y.name = "y";
  model.graph.outputs = {y};
  return model;
}

std::vector<float> values_of(const ModelProto& model, const std::string& name) {
  for (const Tensor& tensor : model.graph.initializers) {
    if (tensor.name == name) return {tensor.as<float>().begin(), tensor.as<float>().end()};
  }
  return {};
}

TEST(FoldBatchNormsTest, AConvolutionKeepsTheNamesOfItsTensorsAndGetsABias) {
  ModelProto model = normalized(node("Conv", {"x", "c.weight"}, "p"),
                                {constant("c.weight", {2, 1, 1, 2}, {1, 2, 3, 4})});
  const FoldedBatchNorms told = fold_batch_norms(model);
  EXPECT_THAT(told.folded, ElementsAre("norm"));
  EXPECT_THAT(told.left, IsEmpty());
  ASSERT_EQ(model.graph.nodes.size(), 1U);
  EXPECT_EQ(model.graph.nodes[0], node("Conv", {"x", "c.weight", "c.bias"}, "y"));
  EXPECT_THAT(values_of(model, "c.weight"), ElementsAre(2, 4, -9, -12));
  EXPECT_THAT(values_of(model, "c.bias"), ElementsAre(8, 17));
  EXPECT_EQ(model.graph.initializers.size(), 2U);
}

TEST(FoldBatchNormsTest, ABiasIsNormalizedToo) {
  ModelProto model = normalized(node("Conv", {"x", "w", "b"}, "p"),
                                {constant("w", {2, 1, 1}, {1, 2}), constant("b", {2}, {5, 6})});
  fold_batch_norms(model);
  EXPECT_THAT(values_of(model, "b"), ElementsAre(18, -1));
}

TEST(FoldBatchNormsTest, FactorsGoToTheOutputsWhereverTheyStandInTheWeight) {
  NodeProto turned = node("Gemm", {"x", "w"}, "p");
  turned.attributes = {attribute("transB", 1)};
  ModelProto rows = normalized(turned, {constant("w", {2, 3}, {1, 2, 3, 4, 5, 6})});
  fold_batch_norms(rows);
  EXPECT_THAT(values_of(rows, "w"), ElementsAre(2, 4, 6, -12, -15, -18));
  ModelProto columns =
      normalized(node("Gemm", {"x", "w"}, "p"), {constant("w", {3, 2}, {1, 2, 3, 4, 5, 6})});
  fold_batch_norms(columns);
  EXPECT_THAT(values_of(columns, "w"), ElementsAre(2, -6, 6, -12, 10, -18));

  const Tensor four = constant("w", {2, 2, 1}, {1, 2, 3, 4});
  ModelProto back = normalized(node("ConvTranspose", {"x", "w"}, "p"), {four});
  fold_batch_norms(back);
  EXPECT_THAT(values_of(back, "w"), ElementsAre(2, -6, 6, -12));
  NodeProto in_groups = node("ConvTranspose", {"x", "w"}, "p");
  in_groups.attributes = {attribute("group", 2)};
  ModelProto grouped = normalized(in_groups, {constant("w", {4, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8})});
  fold_batch_norms(grouped);
  EXPECT_THAT(values_of(grouped, "w"), ElementsAre(2, 4, 6, 8, -15, -18, -21, -24));
}

TEST(FoldBatchNormsTest, ATensorThatOthersReadIsLeftToThem) {
  ModelProto model =
      normalized(node("Conv", {"x", "w", "mean"}, "p"), {constant("w", {2, 1, 1}, {1, 2})});
  model.graph.nodes.push_back(node("Add", {"w", "gamma"}, "z"));
  fold_batch_norms(model);
  EXPECT_THAT(model.graph.nodes[0].inputs, ElementsAre("x", "w#2", "mean#2"));
  EXPECT_THAT(values_of(model, "w"), ElementsAre(1, 2));
  EXPECT_THAT(values_of(model, "w#2"), ElementsAre(2, -6));
  EXPECT_THAT(values_of(model, "gamma"), ElementsAre(4, -3));
}

TEST(FoldBatchNormsTest, WhatCannotBeFoldedStaysAndIsNamed) {
  const Tensor weight = constant("w", {2, 1, 1}, {1, 2});
  const NodeProto conv = node("Conv", {"x", "w"}, "p");
  std::vector<ModelProto> models(7, normalized(conv, {weight}));
  models[0].graph.nodes.push_back(node("Relu", {"p"}, "z"));  // a second reader
  models[1].graph.nodes[0].op_type = "Relu";                  // nothing to fold into
  models[2].graph.nodes[1].attributes.push_back(attribute("training_mode", 1));
  models[3].graph.initializers[0].name = "other";  // the weight is made
  models[4].graph.initializers[1] = constant("gamma", {1}, {4});
  models[5].graph.initializers[4] = constant("variance", {2}, {-0.25F, 1});
  models[6].graph.outputs[0].name = "p";
  for (ModelProto& model : models) {
    const ModelProto before = model;
    const FoldedBatchNorms told = fold_batch_norms(model);
    EXPECT_THAT(told.folded, IsEmpty());
    EXPECT_THAT(told.left, ElementsAre("norm"));
    EXPECT_EQ(model, before);
  }
}

}  // namespace
}  // namespace tensorquant::onnx
