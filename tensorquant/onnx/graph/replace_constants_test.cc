#include "tensorquant/onnx/graph/replace_constants.h"

#include <gmock/gmock.h>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx {
namespace {

using testing::ElementsAre;
using Texts = std::vector<std::string>;

Tensor numbers(const std::string& name, std::vector<float> values) {
  Tensor tensor = make_tensor(DataType::f32, {static_cast<std::int64_t>(values.size())},
                              std::as_bytes(std::span<const float>(values)));
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

// Three sums; "shared" is read by two of them, "made" is no initializer.
ModelProto three_sums() {
  ModelProto model;
  model.ir_version = 8;
  model.graph.nodes = {node("Add", {"x", "own"}, "a"), node("Add", {"a", "shared"}, "b"),
                       node("Mul", {"b", "shared"}, "c"), node("Neg", {"own2"}, "made"),
                       node("Add", {"c", "made"}, "y")};
  model.graph.initializers = {numbers("own", {1}), numbers("shared", {2}), numbers("own2", {3})};
  return model;
}

std::vector<float> values_of(const ModelProto& model, const std::string& name) {
  for (const Tensor& tensor : model.graph.initializers) {
    if (tensor.name == name) return {tensor.as<float>().begin(), tensor.as<float>().end()};
  }
  return {};
}

TEST(ReplaceConstantsTest, AnInitializerThatNobodyElseReadsKeepsItsName) {
  ModelProto model = three_sums();
  replace_constants(model, {{"a", 1, numbers("wish", {5})}});
  ModelProto expected = three_sums();
  expected.graph.initializers[0] = numbers("own", {5});
  EXPECT_EQ(model, expected);
}

TEST(ReplaceConstantsTest, ASharedOneAndOneThatNodesMakeAreLeftToTheirOtherReaders) {
  ModelProto model = three_sums();
  replace_constants(model, {{"b", 1, numbers("wish", {5})},
                            {"c", 1, numbers("wish", {6})},
                            {"y", 1, numbers("x", {7})}});
  EXPECT_THAT(model.graph.nodes[1].inputs, ElementsAre("a", "wish"));
  EXPECT_THAT(model.graph.nodes[2].inputs, ElementsAre("b", "shared"));
  EXPECT_THAT(model.graph.nodes[4].inputs, ElementsAre("c", "x#2"));
  EXPECT_THAT(values_of(model, "wish"), ElementsAre(5));
  EXPECT_THAT(values_of(model, "shared"), ElementsAre(6));
  EXPECT_THAT(values_of(model, "x#2"), ElementsAre(7));
  EXPECT_EQ(model.graph.inputs.size(), 0U);
}

// As the format was before version 4.
TEST(ReplaceConstantsTest, InOldFilesANewInitializerIsAnInputToo) {
  ModelProto model = three_sums();
  model.ir_version = 3;
  replace_constants(model, {{"b", 1, numbers("wish", {5})}});
  ASSERT_EQ(model.graph.inputs.size(), 1U);
  EXPECT_EQ(model.graph.inputs[0].name, "wish");
}

TEST(ReplaceConstantsTest, ANodeThatIsNotInTheMainGraphIsAnErrorAndNothingChanges) {
  ModelProto model = three_sums();
  try {
    replace_constants(model, {{"a", 1, numbers("wish", {5})}, {"z", 1, numbers("wish", {5})}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "the node of 'z' is in a function or a subgraph: its numbers cannot be replaced");
  }
  EXPECT_EQ(model, three_sums());
}

}  // namespace
}  // namespace tensorquant::onnx
