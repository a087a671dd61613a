// If, whose branches hold layers.

#include <gmock/gmock.h>

#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/onnx_torch/test_models.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;

onnx::Attribute branch(const std::string& name, std::vector<onnx::NodeProto> nodes,
                       std::vector<onnx::Tensor> constants, const std::string& output) {
  onnx::Attribute made;
  made.name = name;
  made.type = AttributeType::graph;
  made.graphs.emplace_back();
  made.graphs[0].nodes = std::move(nodes);
  made.graphs[0].initializers = std::move(constants);
  made.graphs[0].outputs = {{output, onnx::TensorType{DataType::f32, std::nullopt}, "", {}}};
  return made;
}

// y = relu(if sum(x) > 0: h w, else h u) with h = 2 x, where w and u are 1.25 and 0.75.
onnx::ModelProto choosing_model() {
  const onnx::NodeProto choice =
      with(node("If", {"is_positive"}, {"c"}, "gate"),
           {branch("then_branch", {node("MatMul", {"h", "w"}, {"t"}, "a")},
                   {floats("w", {1, 1}, {1.25f})}, "t"),
            branch("else_branch", {node("MatMul", {"h", "u"}, {"e"}, "b")},
                   {floats("u", {1, 1}, {0.75f})}, "e")});
  return model_of(
      {node("Add", {"x", "x"}, {"h"}, "double"), node("ReduceSum", {"x"}, {"sum"}),
       node("Greater", {"sum", "zero"}, {"is_positive"}), choice, node("Abs", {"c"}, {"y"}, "out")},
      {floats("zero", {}, {0})});
}

TEST(BranchesTest, OneOfTheBranchesIsComputed) {
  EXPECT_TRUE(at::equal(run(choosing_model(), tensor({4}, {1, 1})), tensor({10}, {1, 1})));
  EXPECT_TRUE(at::equal(run(choosing_model(), tensor({-4}, {1, 1})), tensor({6}, {1, 1})));
}

TEST(BranchesTest, RulesHitTheLayersOfBothBranches) {
  const at::NoGradGuard no_gradients;
  const auto model = make_onnx_model(choosing_model(), "file");
  Override maps;
  maps.weights = QuantizerMap::from_json(
      R"({"=gate.then_branch.a": "zero,8,0", "=gate.else_branch.b": "up,8,0"})");
  apply(model, maps);
  // The weights become 1 and 1.
  EXPECT_TRUE(at::equal(model->forward({tensor({4}, {1, 1})})[0], tensor({8}, {1, 1})));
  EXPECT_TRUE(at::equal(model->forward({tensor({-4}, {1, 1})})[0], tensor({8}, {1, 1})));
}

TEST(BranchesTest, WhatAnIfGivesIsQuantizedWhereARuleNamesIt) {
  const at::NoGradGuard no_gradients;
  const auto model = make_onnx_model(choosing_model(), "file");
  for (const char* maps_json : {R"({"=gate": "zero,8,0"})", R"({"op:If": "zero,8,0"})"}) {
    Override maps;
    maps.extrinsic = QuantizerMap::from_json(maps_json, MapKind::extrinsic);
    EXPECT_THAT(apply(model, maps).warnings, testing::IsEmpty());
    // 2.5 and -1.5 without.
    EXPECT_TRUE(at::equal(model->forward({tensor({1}, {1, 1})})[0], tensor({2}, {1, 1})));
    EXPECT_TRUE(at::equal(model->forward({tensor({-1}, {1, 1})})[0], tensor({1}, {1, 1})));
  }
}

TEST(BranchesTest, ABranchMayGiveWhatIsMadeOutside) {
  const onnx::NodeProto choice =
      with(node("If", {"yes"}, {"y"}),
           {branch("then_branch", {}, {}, "h"), branch("else_branch", {}, {}, "x")});
  const auto model =
      make_onnx_model(model_of({node("Neg", {"x"}, {"h"}), choice},
                               {constant<std::uint8_t>("yes", DataType::boolean, {}, {1})}),
                      "file");
  for (int call = 0; call < 2; ++call) {
    EXPECT_TRUE(at::equal(model->forward({tensor({3}, {1})})[0], tensor({-3}, {1})));
  }
}

TEST(BranchesTest, AnErrorNamesTheNodeInTheBranch) {
  const auto model = make_onnx_model(choosing_model(), "file");
  EXPECT_THAT(error_of([&] {
                model->forward({tensor({1, 2}, {1, 2})});
              }),
              testing::StartsWith("file: node 'a' (MatMul): "));
  onnx::ModelProto missing = choosing_model();
  missing.graph.nodes[3].attributes[1].graphs[0].nodes[0].op_type = "Foo";
  EXPECT_EQ(error_of_model(missing), "file: operators that cannot be computed: Foo ('b')");
  onnx::ModelProto single = choosing_model();
  single.graph.nodes[3].attributes.pop_back();
  EXPECT_EQ(error_of_model(single), "file: node 'gate' (If): it has no else_branch");
}

TEST(BranchesTest, ANodeThatNeedsMoreThanIsHereIsListedWithAllOthers) {
  onnx::ModelProto model = choosing_model();
  model.graph.nodes[3].attributes[0].graphs[0].nodes[0].op_type = "Loop";
  model.graph.nodes[0].op_type = "StringConcat";
  EXPECT_EQ(error_of_model(model),
            "file: operators that cannot be computed: Loop ('a'); StringConcat ('double')");
}

}  // namespace
}  // namespace tensorquant
