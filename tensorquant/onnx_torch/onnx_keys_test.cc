// Which keys of maps hit what in an ONNX model.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/onnx_torch/onnx_model.h"
#include "tensorquant/onnx_torch/test_models.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// left, right -> a sum, a split into two rows, the lower row's Relu. `mask` goes through.
onnx::ModelProto model_of_two_inputs() {
  onnx::ModelProto model;
  model.ir_version = 8;
  model.operator_sets = {{"", 17}};
  model.graph.nodes = {node("Add", {"left", "right"}, {"sum"}, "add"),
                       node("Split", {"sum"}, {"upper", "lower"}, "split"),
                       node("Relu", {"lower"}, {"positive"}, "relu"),
                       node("Flatten", {"mask"}, {"flat"}, "flatten")};
  const std::vector<onnx::Dimension> shape = {std::int64_t{2}, std::int64_t{2}};
  for (const char* name : {"left", "right"}) {
    model.graph.inputs.push_back({name, onnx::TensorType{DataType::f32, shape}, "", {}});
  }
  model.graph.inputs.push_back({"mask", onnx::TensorType{DataType::i64, shape}, "", {}});
  for (const char* name : {"upper", "positive", "flat"}) {
    model.graph.outputs.push_back({name, std::nullopt, "", {}});
  }
  return model;
}

class OnnxKeysTest : public testing::Test {
 protected:
  std::vector<at::Tensor> outputs(const std::string& extrinsic) {
    Override maps;
    maps.extrinsic = QuantizerMap::from_json(extrinsic, MapKind::extrinsic);
    report = apply(model, maps);
    return model->forward({left, right, mask});
  }

  std::shared_ptr<OnnxModel> model = make_onnx_model(model_of_two_inputs(), "net.onnx");
  at::Tensor left = at::tensor({0.3, -0.3, 1.3, -1.3}, at::kFloat).view({2, 2});
  at::Tensor right = at::tensor({0.4, 0.4, 0.4, 0.4}, at::kFloat).view({2, 2});
  at::Tensor mask = at::tensor({1, 2, 3, 4}, at::kLong).view({2, 2});
  ApplyReport report;
};

// nearest,8,0 rounds to integers.
TEST_F(OnnxKeysTest, InputHitsEveryFloatInputAndAnInputsNameThatAlone) {
  EXPECT_TRUE(at::equal(outputs(R"({"input": "nearest,8,0"})")[0], at::zeros({1, 2})));
  EXPECT_THAT(report.warnings, IsEmpty());
  EXPECT_TRUE(at::equal(outputs(R"({"input:left": "nearest,8,0"})")[0], right.slice(0, 0, 1)));
  EXPECT_THAT(report.warnings, IsEmpty());
  EXPECT_TRUE(at::equal(outputs(R"({"left": "nearest,8,0"})")[0], (left + right).slice(0, 0, 1)));
  EXPECT_EQ(report.warnings.size(), 1U);
  outputs(R"({"input:mask": "nearest,8,0"})");
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("'input:mask' hits no layer")));
  EXPECT_TRUE(at::equal(left.flatten(), at::tensor({0.3, -0.3, 1.3, -1.3}, at::kFloat)));
}

TEST_F(OnnxKeysTest, OpHitsEveryNodeOfThatOperator) {
  const auto found = outputs(R"({"op:Add": "nearest,8,0"})");
  EXPECT_TRUE(at::equal(found[0], at::tensor({1, 0}, at::kFloat).view({1, 2})));
  EXPECT_TRUE(at::equal(found[1], at::tensor({2, 0}, at::kFloat).view({1, 2})));
  outputs(R"({"op:add": "nearest,8,0"})");
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("the types are 'Add', 'Relu', 'Split'")));
}

TEST_F(OnnxKeysTest, WhatOnlyMovesNumbersIsQuantizedOnlyWhereItIsNamed) {
  const at::Tensor sum = left + right;
  EXPECT_TRUE(at::equal(outputs(R"({"split": "nearest,8,0"})")[0], sum.slice(0, 0, 1)));
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("'=split' hits")));
  for (const char* key : {"=split", "op:Split"}) {
    const auto found = outputs("{\"" + std::string(key) + "\": \"nearest,8,0\"}");
    EXPECT_TRUE(at::equal(found[0], at::tensor({1, 0}, at::kFloat).view({1, 2}))) << key;
    EXPECT_TRUE(at::equal(found[1], at::tensor({2, 0}, at::kFloat).view({1, 2}))) << key;
    EXPECT_THAT(report.warnings, IsEmpty());
  }
  outputs(R"({"=flatten": "nearest,2,0"})");  // of integers
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("'=flatten' hits no layer")));
}

TEST_F(OnnxKeysTest, TheSummaryShowsInputsAndMoversThatAreQuantizedAlone) {
  const auto rows = [&] {
    Texts found;
    for (const LayerSummary& row : summary(model)) found.push_back(row.layer + " " + row.type);
    return found;
  };
  EXPECT_THAT(rows(), ElementsAre("add Add", "relu Relu"));
  outputs(R"({"=split": "fp16", "input:right": "fp16"})");
  EXPECT_THAT(rows(), ElementsAre("input:right input", "add Add", "split Split", "relu Relu"));
}

TEST_F(OnnxKeysTest, AnObserverSeesTheNodesThatCompute) {
  Texts seen;
  set_output_observer(model,
                      [&](const std::string& layer, const at::Tensor&) { seen.push_back(layer); });
  outputs(R"({"=split": "fp16", "input": "fp16"})");
  EXPECT_THAT(seen, ElementsAre("add", "relu"));
}

}  // namespace
}  // namespace tensorquant
