#include "tensorquant/onnx_torch/onnx_model.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <limits>

#include "tensorquant/base/test_files.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/models/tensor_array.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;

std::filesystem::path models_folder() { return large_folder() / "onnx_models"; }

std::vector<at::Tensor> arrays(const std::filesystem::path& folder, const std::string& kind) {
  std::vector<at::Tensor> found;
  for (int i = 0;; ++i) {
    const auto path = folder / (kind + "_" + std::to_string(i) + ".npy");
    if (!std::filesystem::exists(path)) return found;
    found.push_back(to_tensor(read_npy(path)));
  }
}

class AStoredModel : public testing::TestWithParam<const char*> {};

TEST_P(AStoredModel, GivesTheOutputsOfAnotherEngine) {
  const std::filesystem::path folder = models_folder() / GetParam();
  SKIP_IF_MISSING(folder);
  const at::NoGradGuard no_gradients;
  const auto model = load_onnx(folder / "model.onnx");
  const std::vector<at::Tensor> found = model->forward(arrays(folder, "input"));
  const std::vector<at::Tensor> expected = arrays(folder, "output");
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].sizes(), expected[i].sizes());
    const double largest = expected[i].abs().max().item<double>();
    EXPECT_LE((found[i] - expected[i]).abs().max().item<double>(), 1e-4 * largest) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(OnnxModelTest, AStoredModel,
                         testing::Values("ppocr_cls", "random_bert_legacy", "random_k_attn_tf2onnx",
                                         "random_llama_dynamo", "random_unet_legacy",
                                         "resnet20_dynamo", "resnet20_legacy", "resnet20_legacy_bn",
                                         "spindle_eeg"),
                         [](const auto& info) { return std::string(info.param); });

std::pair<at::Tensor, at::Tensor> found_and_expected(const std::filesystem::path& folder) {
  const at::NoGradGuard no_gradients;
  const auto model = load_onnx(folder / "model.onnx");
  return {model->forward(arrays(folder, "input")).at(0), arrays(folder, "output").at(0)};
}

// Quantizers inside turn the last bit of a sum beside a tie into a whole step, here 1/255, and the
// next layers carry it on.
TEST(OnnxModelTest, AModelOfQonnxDiffersInFewPixels) {
  const std::filesystem::path folder = models_folder() / "espcn_qonnx_subpixel";
  SKIP_IF_MISSING(folder);
  const auto [found, expected] = found_and_expected(folder);
  ASSERT_EQ(found.sizes(), expected.sizes());
  const at::Tensor differs = (found - expected).abs() > 1e-4 * expected.abs().max();
  EXPECT_LT(differs.to(at::kDouble).mean().item<double>(), 0.01);
}

// ONNX Runtime's own logits differ by up to 0.6 with and without its optimizer.
TEST(OnnxModelTest, AModelWithQuantizationNodesFindsTheSameClasses) {
  const std::filesystem::path folder = models_folder() / "resnet20_qdq_int8";
  SKIP_IF_MISSING(folder);
  const auto [found, expected] = found_and_expected(folder);
  EXPECT_TRUE(at::equal(found.argmax(1), expected.argmax(1)));
  EXPECT_LE((found - expected).abs().max().item<double>(), 0.6);
}

using onnx::AttributeType;
using onnx::DataType;
using Texts = std::vector<std::string>;

onnx::NodeProto node(const std::string& type, Texts inputs, Texts outputs,
                     const std::string& name = "") {
  onnx::NodeProto made;
  made.op_type = type;
  made.name = name;
  made.inputs = std::move(inputs);
  made.outputs = std::move(outputs);
  return made;
}

template <class T>
onnx::Tensor constant(const std::string& name, DataType type, std::vector<std::int64_t> dims,
                      std::vector<T> values) {
  onnx::Tensor tensor =
      onnx::make_tensor(type, std::move(dims), std::as_bytes(std::span<const T>(values)));
  tensor.name = name;
  return tensor;
}

onnx::Tensor floats(const std::string& name, std::vector<std::int64_t> dims,
                    std::vector<float> values) {
  return constant<float>(name, DataType::f32, std::move(dims), std::move(values));
}

// x -> nodes -> y
onnx::ModelProto model_of(std::vector<onnx::NodeProto> nodes,
                          std::vector<onnx::Tensor> constants = {}) {
  onnx::ModelProto model;
  model.operator_sets = {{"", 17}};
  model.graph.nodes = std::move(nodes);
  model.graph.initializers = std::move(constants);
  model.graph.inputs = {{"x", onnx::TensorType{DataType::f32, std::nullopt}, "", {}}};
  model.graph.outputs = {{"y", std::nullopt, "", {}}};
  return model;
}

at::Tensor run(onnx::ModelProto model, const at::Tensor& x) {
  return make_onnx_model(std::move(model), "file")->forward({x}).front();
}

std::string error_of_model(onnx::ModelProto model) {
  return error_of([&] { make_onnx_model(std::move(model), "file"); });
}

// fc(x) = x w + b with w = ((1, 2), (3, 4)) and b = (0.5, 0.25).
onnx::ModelProto linear_model() {
  return model_of({node("MatMul", {"x", "w"}, {"p"}, "/fc/MatMul"),
                   node("Add", {"p", "b"}, {"a"}, "/fc/Add"), node("Relu", {"a"}, {"y"}, "/Relu")},
                  {floats("w", {2, 2}, {1, 2, 3, 4}), floats("b", {2}, {0.5f, 0.25f})});
}

TEST(OnnxModelTest, MissingOperatorsAreOneErrorWithTheirNodes) {
  onnx::ModelProto model = model_of(
      {node("Foo", {"x"}, {"a"}, "one"), node("Bar", {"a"}, {"b"}), node("Foo", {"b"}, {"y"})});
  EXPECT_EQ(error_of_model(model),
            "file: operators that cannot be computed: Bar ('b'); Foo ('one', 'y')");
}

TEST(OnnxModelTest, AFaultOfANodeNamesIt) {
  onnx::NodeProto pad = node("Pad", {"x", "pads"}, {"y"}, "pad");
  pad.attributes.emplace_back();
  pad.attributes[0].name = "mode";
  pad.attributes[0].type = AttributeType::s;
  pad.attributes[0].s = "wrap";
  EXPECT_EQ(
      error_of_model(model_of({pad}, {constant<std::int64_t>("pads", DataType::i64, {2}, {1, 1})})),
      "file: node 'pad' (Pad): mode 'wrap' is not supported");
  const auto model = make_onnx_model(linear_model(), "file");
  EXPECT_THAT(error_of([&] {
                model->forward({at::ones({1, 3})});
              }),
              HasSubstr("file: node '/fc/MatMul' (MatMul): "));
  EXPECT_EQ(error_of([&] {
              model->forward({at::ones({1, 2}, at::kLong)});
            }),
            "input 'x': expected numbers of type float, found Long");
}

TEST(OnnxModelTest, AProductAndItsBiasAreOneLayerForMaps) {
  const at::NoGradGuard no_gradients;
  const auto model = make_onnx_model(linear_model(), "file");
  const at::Tensor x = at::tensor({1.0f, -1.0f}).reshape({1, 2});
  EXPECT_TRUE(at::equal(model->forward({x})[0], at::tensor({0.0f, 0.0f}).reshape({1, 2})));
  Override maps;
  maps.weights =
      QuantizerMap::from_json(R"({"=fc": {"weight": "nearest,8,0", "bias": "zero,8,1"}})");
  apply(model, maps);
  const std::vector<LayerSummary> layers = summary(model);
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[0].layer, "fc");
  EXPECT_EQ(layers[0].type, "Linear");
  EXPECT_EQ(layers[0].weight, "nearest,8,0");
  EXPECT_EQ(layers[1].layer, "Relu");
  // (1, 2) w + (0.5, 0): of the bias 0.25 nothing is left.
  EXPECT_TRUE(at::equal(model->forward({at::tensor({1.0f, 2.0f}).reshape({1, 2})})[0],
                        at::tensor({7.5f, 10.0f}).reshape({1, 2})));
}

TEST(OnnxModelTest, EveryFloatWeightOfALayerGetsAGradient) {
  const auto model = make_onnx_model(linear_model(), "file");
  model->forward({at::tensor({1.0f, 2.0f}).reshape({1, 2})})[0].sum().backward();
  const auto parameters = model->named_parameters();
  ASSERT_EQ(parameters.size(), 2U);
  EXPECT_TRUE(at::equal(parameters["0.weight"].grad(),
                        at::tensor({1.0f, 2.0f, 1.0f, 2.0f}).reshape({2, 2})));
  EXPECT_TRUE(at::equal(parameters["0.bias"].grad(), at::tensor({1.0f, 1.0f})));
}

TEST(OnnxModelTest, QuantizationRoundsQuotientsToEvenAndAddsTheZeroPointBehind) {
  const auto model = model_of(
      {node("QuantizeLinear", {"x", "scale", "zero"}, {"q"}),
       node("DequantizeLinear", {"q", "scale", "zero"}, {"y"})},
      {floats("scale", {}, {0.5f}), constant<std::uint8_t>("zero", DataType::u8, {}, {3})});
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // Codes: 0.5 -> 0, 1.5 -> 2, -1.5 -> -2 ties; ends: 0 - 3 = -3 and 255 - 3 = 252 steps.
  EXPECT_TRUE(
      at::equal(run(model, at::tensor({0.25f, 0.75f, -0.75f, 1000.0f, -1000.0f, inf, -inf, nan})),
                at::tensor({0.0f, 1.0f, -1.0f, 126.0f, -1.5f, 126.0f, -1.5f, -1.5f})));
}

TEST(OnnxModelTest, WhatDependsOnConstantsAloneIsComputedOnce) {
  // y = x * (w + w), where w + w is no layer.
  const auto model =
      make_onnx_model(model_of({node("Add", {"w", "w"}, {"d"}), node("Mul", {"x", "d"}, {"y"})},
                               {floats("w", {}, {3})}),
                      "file");
  EXPECT_TRUE(summary(model).empty());
  EXPECT_TRUE(at::equal(model->forward({at::tensor({2.0f})})[0], at::tensor({12.0f})));
}

}  // namespace
}  // namespace tensorquant
