// Operators beyond ONNX's own tests (node_tests): as layers under maps, and with sizes that a
// hostile file may tell.

#include <gmock/gmock.h>

#include <limits>

#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/onnx_torch/test_models.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;

// One RNN of one number, with relu: h = relu(w x + r h + b).
onnx::ModelProto recurrent_model() {
  onnx::Attribute activations;
  activations.name = "activations";
  activations.type = AttributeType::strings;
  activations.strings = {"Relu"};
  return model_of({with(node("RNN", {"x", "w", "r", "b"}, {"y", "last"}, "r"),
                        {attribute("hidden_size", 1), activations})},
                  {floats("w", {1, 1, 1}, {1.5f}), floats("r", {1, 1, 1}, {0.75f}),
                   floats("b", {1, 2}, {0.25f, 0.25f})});
}

TEST(OperatorsTest, BothWeightsOfARecurrentLayerAndItsBiasAreQuantized) {
  const at::NoGradGuard no_gradients;
  const auto model = make_onnx_model(recurrent_model(), "file");
  const at::Tensor x = tensor({2, 4}, {2, 1, 1});
  // 3 + 0.5, then 6 + 0.75 * 3.5 + 0.5.
  EXPECT_TRUE(at::equal(model->forward({x})[0], tensor({3.5f, 9.125f}, {2, 1, 1, 1})));
  Override maps;
  maps.weights = QuantizerMap::from_json(R"({"=r": {"weight": "zero,8,1", "bias": "zero,8,0"}})");
  apply(model, maps);
  // w = 1.5, r = 0.5, b = 0.
  EXPECT_TRUE(at::equal(model->forward({x})[0], tensor({3, 7.5f}, {2, 1, 1, 1})));
}

TEST(OperatorsTest, AllOutputsOfARecurrentLayerAreQuantized) {
  const at::NoGradGuard no_gradients;
  onnx::ModelProto proto = recurrent_model();
  proto.graph.outputs.push_back({"last", std::nullopt, "", {}});
  const auto model = make_onnx_model(proto, "file");
  Override maps;
  maps.extrinsic = QuantizerMap::from_json(R"({"=r": "zero,8,0"})", MapKind::extrinsic);
  apply(model, maps);
  const std::vector<at::Tensor> y = model->forward({tensor({2, 4}, {2, 1, 1})});
  EXPECT_TRUE(at::equal(y[0], tensor({3, 9}, {2, 1, 1, 1})));
  EXPECT_TRUE(at::equal(y[1], tensor({9}, {1, 1, 1})));
}

TEST(OperatorsTest, OfOtherNodesTheFirstOutputIsQuantized) {
  const at::NoGradGuard no_gradients;
  onnx::ModelProto proto = model_of({node("LayerNormalization", {"x", "s"}, {"y", "mean"}, "n")},
                                    {floats("s", {2}, {1.5f, 1.5f})});
  proto.graph.outputs.push_back({"mean", std::nullopt, "", {}});
  const auto model = make_onnx_model(proto, "file");
  Override maps;
  maps.extrinsic = QuantizerMap::from_json(R"({"=n": "zero,8,0"})", MapKind::extrinsic);
  apply(model, maps);
  const std::vector<at::Tensor> y = model->forward({tensor({-999.5f, 1000}, {1, 2})});
  EXPECT_TRUE(at::equal(y[0], tensor({-1, 1}, {1, 2})));
  EXPECT_TRUE(at::equal(y[1], tensor({0.25f}, {1, 1})));
}

TEST(OperatorsTest, EachWeightOfARecurrentLayerGetsItsGradient) {
  const auto model = make_onnx_model(recurrent_model(), "file");
  model->forward({tensor({2, 4}, {2, 1, 1})})[0].select(0, 1).sum().backward();
  const auto parameters = model->named_parameters();
  // y1 = w 4 + r (w 2 + b) + b, with the two halves of b added.
  EXPECT_TRUE(at::equal(parameters["0.weight_ih"].grad(), tensor({5.5f}, {1, 1, 1})));
  EXPECT_TRUE(at::equal(parameters["0.weight_hh"].grad(), tensor({3.5f}, {1, 1, 1})));
  EXPECT_TRUE(at::equal(parameters["0.bias"].grad(), tensor({1.75f, 1.75f}, {1, 2})));
}

TEST(OperatorsTest, TheNumbersOfARecurrentLayerAreWrittenBackEachToItsPlace) {
  const at::NoGradGuard no_gradients;
  onnx::ModelProto file = recurrent_model();
  const auto model = make_onnx_model(file, "file");
  const auto parameters = model->named_parameters();
  parameters["0.weight_ih"].set_data(tensor({2}, {1, 1, 1}));
  parameters["0.weight_hh"].set_data(tensor({4}, {1, 1, 1}));
  parameters["0.bias"].set_data(tensor({1, 0}, {1, 2}));
  onnx::replace_constants(file, model->constants());
  const at::Tensor x = tensor({1, 1}, {2, 1, 1});
  // 2 + 1, then 2 + 4 * 3 + 1.
  EXPECT_TRUE(at::equal(run(file, x), tensor({3, 15}, {2, 1, 1, 1})));
}

TEST(OperatorsTest, ClippedGatesStayWithinTheLimit) {
  onnx::ModelProto model = recurrent_model();
  model.graph.nodes[0].attributes.push_back(attribute("clip", 3.0f));
  EXPECT_TRUE(at::equal(run(model, tensor({2, 4}, {2, 1, 1})), tensor({3, 3}, {2, 1, 1, 1})));
}

onnx::Tensor integers(const char* name, std::vector<std::int64_t> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return constant<std::int64_t>(name, DataType::i64, {count}, std::move(values));
}

onnx::Tensor integer(const char* name, std::int64_t value) {
  return constant<std::int64_t>(name, DataType::i64, {}, {value});
}

TEST(OperatorsTest, SizesThatNoMemoryHoldsAreErrors) {
  constexpr std::int64_t kMillion = 1 << 20, kLargest = std::numeric_limits<std::int64_t>::max();
  const onnx::Tensor huge = integers("n", {kMillion, kMillion, kMillion});
  struct Case {
    onnx::NodeProto node;
    std::vector<onnx::Tensor> constants;
  };
  for (const Case& one : {
           Case{node("Expand", {"x", "n"}, {"y"}), {integers("n", {kMillion, kMillion, 1, 1, 1})}},
           Case{node("Tile", {"x", "n"}, {"y"}), {huge}},
           Case{node("Tile", {"x", "n"}, {"y"}), {integers("n", {kLargest, kLargest, 1})}},
           Case{node("ConstantOfShape", {"n"}, {"y"}), {huge}},
           Case{node("ConstantOfShape", {"n"}, {"y"}), {integers("n", {kLargest, kLargest})}},
           Case{node("Range", {"a", "n", "b"}, {"y"}),
                {integer("a", 0), integer("n", kLargest), integer("b", 1)}},
           Case{node("OneHot", {"x", "n", "v"}, {"y"}),
                {integer("n", kLargest), floats("v", {2}, {0, 1})}},
           Case{with(node("Resize", {"x", "", "", "n"}, {"y"}), {attribute("mode", "linear")}),
                {huge}},
           Case{node("Resize", {"x", "", "s"}, {"y"}), {floats("s", {3}, {1e6f, 1e6f, 1e6f})}},
           Case{node("Pad", {"x", "n"}, {"y"}),
                {integers("n", {kMillion, kMillion, kMillion, 0, 0, 0})}},
           Case{node("Pad", {"x", "n"}, {"y"}), {integers("n", {kLargest, 0, 0, kLargest, 0, 0})}},
           Case{with(node("Pad", {"x", "n"}, {"y"}), {attribute("mode", "edge")}),
                {integers("n", {kMillion, kMillion, kMillion, 0, 0, 0})}},
           Case{node("CenterCropPad", {"x", "n"}, {"y"}), {huge}},
           Case{node("AffineGrid", {"x", "n"}, {"y"}), {integers("n", {1, 1, kMillion, kMillion})}},
       }) {
    const std::string error = error_of([&] {
      run(model_of({one.node}, one.constants), at::ones({1, 2, 3}));
    });
    EXPECT_THAT(error, HasSubstr("takes more than 16 GiB")) << one.node.op_type;
    EXPECT_EQ(error.find('\n'), std::string::npos);
  }
  EXPECT_THAT(error_of([&] {
                run(model_of({node("ConstantOfShape", {"n"}, {"y"})}, {integers("n", {-1})}),
                    at::ones(1));
              }),
              HasSubstr("sizes [-1]: one is negative"));
}

TEST(OperatorsTest, IndicesOutsideAreErrors) {
  for (const auto& one : {
           with(node("GatherND", {"x", "n"}, {"y"}), {}),
           with(node("ScatterND", {"x", "n", "x"}, {"y"}), {}),
           with(node("Gather", {"x", "n"}, {"y"}), {}),
           with(node("GatherElements", {"x", "n"}, {"y"}), {}),
           with(node("ScatterElements", {"x", "n", "x"}, {"y"}), {}),
       }) {
    for (const std::int64_t outside : {3, -4}) {
      EXPECT_THAT(
          error_of([&] { run(model_of({one}, {integers("n", {outside})}), at::ones({3})); }),
          testing::StartsWith("file: the node of 'y' (" + one.op_type + "): "))
          << outside;
    }
  }
}

TEST(OperatorsTest, NumbersOf16BitsAreComputedInFloatAndRoundedOnce) {
  onnx::ModelProto model = model_of({node("MatMul", {"x", "x"}, {"y"})});
  model.graph.inputs[0].tensor->element = DataType::f16;
  // 1 + 2^-22 + 2^-11, more than half a unit above 1: each sum of float16 would be 1.
  const float small = 0.00048828125f;
  const at::Tensor x = tensor({1, small, small, small, 0, 0, 1, 0, 0}, {3, 3}).to(at::kHalf);
  const at::Tensor y = run(model, x);
  EXPECT_EQ(y.scalar_type(), at::kHalf);
  EXPECT_EQ(y[0][0].item<float>(), 1 + 2 * small);
}

TEST(OperatorsTest, FunctionsOfTheModelAreComputed) {
  onnx::ModelProto model = model_of({node("Twice", {"x"}, {"y"})});
  model.graph.nodes[0].domain = "own";
  model.operator_sets.push_back({"own", 1});
  model.functions.emplace_back();
  onnx::FunctionProto& twice = model.functions[0];
  twice.domain = "own";
  twice.name = "Twice";
  twice.inputs = {"a"};
  twice.outputs = {"c"};
  twice.nodes = {node("Add", {"a", "a"}, {"b"}), node("Neg", {"b"}, {"c"})};
  twice.operator_sets = {{"", 17}};
  EXPECT_TRUE(at::equal(run(model, tensor({1, -2}, {2})), tensor({-2, 4}, {2})));
}

}  // namespace
}  // namespace tensorquant
