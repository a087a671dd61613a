#include "tensorquant/onnx_torch/onnx_model.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <limits>

#include "tensorquant/base/test_files.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/models/tensor_array.h"
#include "tensorquant/onnx_torch/test_models.h"

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
                                         "random_llama_dynamo", "random_lstm_legacy",
                                         "random_unet_legacy", "resnet20_dynamo", "resnet20_legacy",
                                         "resnet20_legacy_bn", "spindle_eeg"),
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
  pad.attributes[0].s = "mirror";
  EXPECT_EQ(
      error_of_model(model_of({pad}, {constant<std::int64_t>("pads", DataType::i64, {2}, {1, 1})})),
      "file: node 'pad' (Pad): mode 'mirror' is not known");
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
  EXPECT_EQ(layers[0].type, "MatMul");
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

TEST(OnnxModelTest, NodesWithoutTheirInputsAndOutputsAreErrors) {
  const auto error_with = [](const std::string& type, const Texts& inputs, Texts outputs = {"y"}) {
    onnx::ModelProto model = model_of({node(type, inputs, std::move(outputs), "n")});
    model.graph.outputs = {{"x", std::nullopt, "", {}}};
    return error_of_model(model);
  };
  EXPECT_EQ(error_with("Add", {"x"}), "file: node 'n' (Add): expected 2 inputs, found 1");
  EXPECT_EQ(error_with("MatMul", {"x"}), "file: node 'n' (MatMul): expected 2 inputs, found 1");
  EXPECT_EQ(error_with("Relu", {}), "file: node 'n' (Relu): expected 1 inputs, found 0");
  EXPECT_EQ(error_with("Sum", {}), "file: node 'n' (Sum): expected 1 or more inputs, found 0");
  EXPECT_EQ(error_with("Conv", {"x"}), "file: node 'n' (Conv): expected 2 to 3 inputs, found 1");
  EXPECT_EQ(error_with("Relu", {""}), "file: node 'n' (Relu): its input 0 is left out");
  EXPECT_EQ(error_with("Concat", {"x", ""}), "file: node 'n' (Concat): its input 1 is left out");
  EXPECT_EQ(error_with("Split", {"x"}, {}), "file: node 'n' (Split): it has no output");
}

TEST(OnnxModelTest, AnOutputThatANodeDoesNotMakeIsAnError) {
  const auto model = make_onnx_model(model_of({node("Relu", {"x"}, {"y", "z"}, "n")}), "file");
  EXPECT_EQ(error_of([&] { model->forward({at::ones(2)}); }),
            "file: node 'n' (Relu): it has 2 outputs, but makes 1");
}

TEST(OnnxModelTest, AttributesOutOfRangeAreErrors) {
  const onnx::Tensor kernel = floats("w", {1, 1, 1}, {2});
  struct Case {
    const char* type;
    onnx::Attribute attribute;
    const char* says;
  };
  for (const Case& one : {
           Case{"Conv", attribute("group", 0), "attribute 'group': expected 1 or more, found 0"},
           Case{"Conv", attribute("group", 2), "no 2 equal groups"},
           Case{"Conv", attribute("strides", Integers{0}), "'strides': expected 1 or more"},
           Case{"Conv", attribute("dilations", Integers{-1}), "'dilations': expected 1 or more"},
           Case{"MaxPool", attribute("kernel_shape", Integers{0}), "'kernel_shape': expected 1"},
           Case{"DepthToSpace", attribute("blocksize", 0), "'blocksize': expected 1 or more"},
           Case{"LRN", attribute("size", 0), "'size': expected 1 or more"},
       }) {
    const Texts inputs = one.type == std::string("Conv") ? Texts{"x", "w"} : Texts{"x"};
    EXPECT_THAT(
        error_of_model(model_of({with(node(one.type, inputs, {"y"}, "n"),
                                      {one.attribute, attribute("auto_pad", "SAME_UPPER")})},
                                {kernel})),
        HasSubstr(one.says))
        << one.type;
  }
  EXPECT_THAT(
      error_of_model(model_of(
          {with(node("Resize", {"x", "", "", "sizes"}, {"y"}),
                {attribute("mode", "linear"), attribute("keep_aspect_ratio_policy", "sometimes")})},
          {constant<std::int64_t>("sizes", DataType::i64, {4}, {1, 1, 8, 8})})),
      HasSubstr("keep_aspect_ratio_policy 'sometimes' is not known"));
  const auto pool = make_onnx_model(model_of({node("GlobalAveragePool", {"x"}, {"y"})}), "file");
  EXPECT_THAT(error_of([&] {
                pool->forward({at::ones({2, 3})});
              }),
              HasSubstr("expected an input of 3 dimensions or more"));
}

TEST(OnnxModelTest, ListsThatDoNotFitTheInputAreErrors) {
  const auto list = [](const char* name, std::vector<std::int64_t> values) {
    const auto count = static_cast<std::int64_t>(values.size());
    return constant<std::int64_t>(name, DataType::i64, {count}, std::move(values));
  };
  const auto pad = make_onnx_model(
      model_of({node("Pad", {"x", "p"}, {"y"}, "n")}, {list("p", {1, 1, 1, 1})}), "file");
  EXPECT_EQ(error_of([&] { pad->forward({at::ones(3)}); }),
            "file: node 'n' (Pad): pads: expected 2 integers, found 4");
  const auto slice = make_onnx_model(
      model_of({node("Slice", {"x", "a", "b"}, {"y"}, "n")}, {list("a", {0, 0}), list("b", {1})}),
      "file");
  EXPECT_EQ(error_of([&] {
              slice->forward({at::ones({3, 3})});
            }),
            "file: node 'n' (Slice): its starts, ends, axes and steps differ in number");
}

TEST(OnnxModelTest, ExternalDataThatWereNotLoadedAreAnError) {
  onnx::Attribute value;
  value.name = "value";
  value.type = AttributeType::tensor;
  value.tensors = {onnx::make_tensor(DataType::f32, {1}, {})};
  EXPECT_THAT(error_of_model(model_of({with(node("ConstantOfShape", {"x"}, {"y"}), {value})})),
              HasSubstr("dimensions [1] of float, but 0 bytes"));
  value.tensors[0].external = {"w.bin", 0, 4};
  EXPECT_THAT(error_of_model(model_of({with(node("ConstantOfShape", {"x"}, {"y"}), {value})})),
              HasSubstr("its external data are not loaded"));
}

TEST(OnnxModelTest, OnlyOperatorsOfKnownVersionsAreComputed) {
  onnx::ModelProto model = model_of({node("Add", {"x", "x"}, {"y"}, "n")});
  model.operator_sets[0].version = 6;
  EXPECT_EQ(error_of_model(model), "file: node 'n' (Add): operator set 6: expected 7 or newer");
  model.operator_sets[0].version = 17;
  EXPECT_TRUE(make_onnx_model(model, "file")->warnings().empty());
  model.operator_sets[0].version = 99;
  EXPECT_THAT(make_onnx_model(model, "file")->warnings(),
              testing::ElementsAre(HasSubstr("file: operator set 99: its operators are taken")));
}

TEST(OnnxModelTest, ATensorThatNobodyReadsMayBeOfAnyType) {
  const onnx::Tensor text = constant<float>("s", DataType::complex64, {1}, {1, 0});
  EXPECT_TRUE(
      at::equal(run(model_of({node("Relu", {"x"}, {"y"})}, {text}), at::ones(1)), at::ones(1)));
  EXPECT_EQ(error_of_model(model_of({node("Add", {"x", "s"}, {"y"})}, {text})),
            "file: tensor 's': numbers of type complex64 cannot be computed with");
}

// What a layer adds, however its bias comes.
TEST(OnnxModelTest, NoBiasIsLost) {
  const onnx::Tensor w = floats("w", {2, 2}, {1, 2, 3, 4}), b = floats("b", {2}, {0.5f, 0.25f});
  // Made between the product and the sum. (1, -1) w = (-2, -2).
  EXPECT_TRUE(
      at::equal(run(model_of({node("MatMul", {"x", "w"}, {"p"}), node("Add", {"b", "b"}, {"c"}),
                              node("Add", {"p", "c"}, {"y"})},
                             {w, b}),
                    tensor({1, -1}, {1, 2})),
                tensor({-1, -1.5f}, {1, 2})));
  // Of more axes than the product.
  EXPECT_TRUE(
      at::equal(run(model_of({node("MatMul", {"x", "w"}, {"p"}), node("Add", {"p", "row"}, {"y"})},
                             {w, floats("row", {1, 1, 2}, {0.5f, 0.25f})}),
                    tensor({1, -1}, {1, 2})),
                tensor({-1.5f, -1.75f}, {1, 1, 2})));
  // A column of as many rows as the product has columns.
  EXPECT_TRUE(at::equal(
      run(model_of({node("Gemm", {"x", "w", "c"}, {"y"})}, {w, floats("c", {2, 1}, {10, 20})}),
          tensor({1, 0, 0, 1}, {2, 2})),
      tensor({11, 12, 23, 24}, {2, 2})));
  // No constant: 3 x + x.
  for (const char* type : {"Conv", "ConvTranspose"}) {
    EXPECT_TRUE(at::equal(
        run(model_of({with(node("Flatten", {"x"}, {"f"}), {attribute("axis", 0)}),
                      node("Squeeze", {"f", "zero"}, {"c"}), node(type, {"x", "w", "c"}, {"y"})},
                     {floats("w", {1, 1, 1}, {3}),
                      constant<std::int64_t>("zero", DataType::i64, {1}, {0})}),
            tensor({2}, {1, 1, 1})),
        tensor({8}, {1, 1, 1})))
        << type;
  }
}

TEST(OnnxModelTest, ATensorThatIsScaleAndBiasHasTwoQuantizers) {
  const at::NoGradGuard no_gradients;
  const auto model =
      make_onnx_model(model_of({node("LayerNormalization", {"x", "s", "s"}, {"y"}, "norm")},
                               {floats("s", {2}, {1.5f, 1.5f})}),
                      "file");
  Override maps;
  maps.weights = QuantizerMap::from_json(R"({"norm": {"bias": "zero,8,0"}})");
  apply(model, maps);
  // The scale keeps its half, the bias is 1: with -1 and 1 normalized, -0.5 and 2.5.
  const at::Tensor y = model->forward({tensor({-1000, 1000}, {1, 2})})[0];
  EXPECT_TRUE(at::equal(y, tensor({-0.5f, 2.5f}, {1, 2}))) << y;
}

// One node over x, with constants.
struct NodeCase {
  const char* name;
  onnx::NodeProto node;
  std::vector<onnx::Tensor> constants;
  at::Tensor x, y;
};

TEST(OnnxModelTest, NodesGiveWhatTheirPagesSay) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr float kRoot = 5;
  const std::vector<float> ramp = {0, 1, 2, 3, 4, 5};
  for (const NodeCase& one : {
           NodeCase{"the least integer by -1 is itself",
                    node("Div", {"x", "d"}, {"y"}),
                    {constant<std::int64_t>("d", DataType::i64, {}, {-1})},
                    at::tensor({kLeast, std::int64_t{7}}),
                    at::tensor({kLeast, std::int64_t{-7}})},
           NodeCase{"an empty tensor keeps its columns",
                    node("Flatten", {"x"}, {"y"}),
                    {},
                    at::empty({0, 4, 2}),
                    at::empty({0, 8})},
           NodeCase{"no window begins in the padding at the end",
                    with(node("MaxPool", {"x"}, {"y"}),
                         {attribute("kernel_shape", Integers{2}), attribute("strides", Integers{3}),
                          attribute("pads", Integers{0, 1}), attribute("ceil_mode", 1)}),
                    {},
                    tensor(ramp, {1, 1, 6}),
                    tensor({1, 4}, {1, 1, 2})},
           NodeCase{"nor of an average",
                    with(node("AveragePool", {"x"}, {"y"}),
                         {attribute("kernel_shape", Integers{2}), attribute("strides", Integers{3}),
                          attribute("pads", Integers{0, 1}), attribute("ceil_mode", 1)}),
                    {},
                    tensor(ramp, {1, 1, 6}),
                    tensor({0.5f, 3.5f}, {1, 1, 2})},
           NodeCase{"a product of integers is of integers",
                    with(node("Gemm", {"x", "w", "c"}, {"y"}),
                         {attribute("alpha", 2.0f), attribute("beta", 3.0f)}),
                    {constant<std::int32_t>("w", DataType::i32, {1, 1}, {5}),
                     constant<std::int32_t>("c", DataType::i32, {1}, {1})},
                    at::tensor({4}, at::kInt).reshape({1, 1}),
                    at::tensor({43}, at::kInt).reshape({1, 1})},
           NodeCase{"the length of integers is an integer",
                    with(node("ReduceL2", {"x"}, {"y"}), {attribute("keepdims", 0)}),
                    {},
                    at::tensor({3, -4}, at::kInt),
                    at::tensor(5, at::kInt).reshape({})},
           NodeCase{"that of floats is a float",
                    with(node("ReduceL2", {"x"}, {"y"}), {attribute("keepdims", 0)}),
                    {},
                    tensor({3, -4}, {2}),
                    tensor({kRoot}, {})},
       }) {
    onnx::ModelProto model = model_of({one.node}, one.constants);
    model.graph.inputs[0].tensor.reset();
    const at::Tensor y = run(model, one.x);
    EXPECT_EQ(y.scalar_type(), one.y.scalar_type()) << one.name;
    EXPECT_TRUE(at::equal(y, one.y)) << one.name << "\n" << y;
  }
  onnx::ModelProto alone =
      model_of({with(node("ReduceL2", {"x"}, {"y"}), {attribute("noop_with_empty_axes", 1)})});
  alone.operator_sets[0].version = 18;
  EXPECT_TRUE(at::equal(run(alone, tensor({3, -4}, {2})), tensor({3, 4}, {2})));
}

TEST(OnnxModelTest, OneSignedBitOfQonnxIsASign) {
  onnx::NodeProto quant = node("Quant", {"x", "s", "z", "bits"}, {"y"});
  quant.domain = "qonnx.custom_op.general";
  onnx::ModelProto model =
      model_of({quant}, {floats("s", {}, {0.5f}), floats("z", {}, {0}), floats("bits", {}, {1})});
  model.operator_sets.push_back({quant.domain, 1});
  EXPECT_TRUE(at::equal(run(model, at::tensor({-3.0f, -0.1f, 0.0f, 7.0f})),
                        at::tensor({-0.5f, -0.5f, 0.5f, 0.5f})));
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
