// Nodes of ONNX models under an intrinsic map are rounded as libtorch's layers are.

#include "tensorquant/onnx_torch/rounded_nodes.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/arithmetic/values.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/nn/nn.h"
#include "tensorquant/onnx_torch/layers.h"
#include "tensorquant/onnx_torch/operators/operators.h"

namespace tensorquant::onnx_torch {
namespace {

using torch::Tensor;

const char* const kRule =
    R"({"intrinsic": {"": {"product": "nearest,8,5", "accumulator": "nearest,9,5"}}})";

onnx::Attribute attribute(const std::string& name, std::int64_t value) {
  onnx::Attribute made;
  made.name = name;
  made.type = onnx::AttributeType::i;
  made.i = value;
  return made;
}
onnx::Attribute attribute(const std::string& name, std::vector<std::int64_t> values) {
  onnx::Attribute made;
  made.name = name;
  made.type = onnx::AttributeType::ints;
  made.ints = std::move(values);
  return made;
}

// What a node gives under the rule.
Tensor rounded(const std::string& type, const Tensors& inputs,
               std::vector<onnx::Attribute> attributes = {}, std::int64_t version = 20) {
  onnx::Node node;
  node.op_type = type;
  node.version = version;
  node.attributes = std::move(attributes);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    node.inputs.push_back(static_cast<onnx::ValueId>(i));
  }
  const NodeView view(node, Tensors(inputs.size()),
                      std::vector<onnx::DataType>(inputs.size(), onnx::DataType::f32));
  const Operator* const op = find_operator("", type);
  onnx::Layer layer_of_node;
  layer_of_node.node = &node;
  const BuiltLayer layer = build_layer(view, layer_of_node, op->make(view), {}, nullptr);
  apply(*layer.module, Override::from_json(kRule));
  layer.module->eval();
  return layer.forward(inputs).at(0);
}

// What a layer of libtorch gives under it.
template <class Layer, class... Arguments>
Tensor of_layer(Layer layer, const Arguments&... arguments) {
  apply(layer, Override::from_json(kRule));
  layer->eval();
  return layer->forward(arguments...);
}

class RoundedNodes : public testing::Test {
 protected:
  RoundedNodes() { torch::manual_seed(4); }
  const torch::NoGradGuard no_gradients_;
};

TEST_F(RoundedNodes, AreTheLayersOfLibtorch) {
  const Tensor x = torch::randn({2, 3, 4, 5});
  const auto expect_same = [](const Tensor& found, const Tensor& wanted) {
    EXPECT_TRUE(at::equal(found, wanted)) << found << "\n" << wanted;
  };
  expect_same(rounded("Sigmoid", {x}), of_layer(nn::Sigmoid(), x));
  expect_same(rounded("Tanh", {x}), of_layer(nn::Tanh(), x));
  expect_same(rounded("Gelu", {x}), of_layer(nn::GELU(), x));
  expect_same(rounded("LeakyRelu", {x}), of_layer(nn::LeakyReLU(), x));
  expect_same(rounded("Softmax", {x}, {attribute("axis", 1)}), of_layer(nn::Softmax(1), x));
  expect_same(rounded("LogSoftmax", {x}), of_layer(nn::LogSoftmax(-1), x));
  expect_same(rounded("Softmax", {x}, {attribute("axis", 2)}, 11),
              of_layer(nn::Softmax(-1), x.flatten(2)).reshape(x.sizes()));
  expect_same(rounded("GlobalAveragePool", {x}), of_layer(nn::AdaptiveAvgPool2d(1), x));
  nn::LayerNorm norm(torch::nn::LayerNormOptions({4, 5}));
  norm->weight.normal_();
  norm->bias.normal_();
  expect_same(rounded("LayerNormalization", {x, norm->weight, norm->bias}, {attribute("axis", 2)}),
              of_layer(norm, x));
  nn::InstanceNorm2d instance(torch::nn::InstanceNorm2dOptions(3).affine(true));
  instance->weight.normal_();
  expect_same(rounded("InstanceNormalization", {x, instance->weight, instance->bias}),
              of_layer(instance, x));
}

// Of numbers whose results are known.
TEST_F(RoundedNodes, RoundEachResultOnce) {
  const auto expect = [](const Tensor& found, const std::vector<float>& wanted) {
    EXPECT_TRUE(at::equal(found.flatten(), torch::tensor(wanted))) << found;
  };
  const Tensor a = torch::tensor({1.0F, 2.0F, -3.0F}), b = torch::tensor({3.0F, 0.3F, 7.0F});
  expect(rounded("Mul", {a, b}), {3.0F, 19 / 32.0F, -4.0F});  // -21 saturates
  expect(rounded("Div", {a, b}), {11 / 32.0F, 127 / 32.0F, -14 / 32.0F});
  expect(rounded("Sub", {a, b}), {-2.0F, 54 / 32.0F, -8.0F});          // -10 saturates
  expect(rounded("Sqrt", {b}), {55 / 32.0F, 18 / 32.0F, 85 / 32.0F});  // of 3, 0.3 and 7
  expect(rounded("Exp", {torch::tensor({0.0F, 1.0F})}), {1.0F, 87 / 32.0F});
  expect(rounded("ReduceMean", {torch::tensor({{1.0F, 2.0F, 2.0F}, {3.0F, 3.0F, 4.0F}})},
                 {attribute("axes", std::vector<std::int64_t>{1}), attribute("keepdims", 0)}, 13),
         {53 / 32.0F, 85 / 32.0F});  // the sum of 10 saturates at 255 / 32
  expect(rounded("ReduceSum", {torch::tensor({{1.0F, 2.0F, 2.0F}, {3.0F, 3.0F, 4.0F}})},
                 {attribute("axes", std::vector<std::int64_t>{1})}, 11),
         {5.0F, 255 / 32.0F});
  expect(rounded("Sum", {a, b, a}), {5.0F, 138 / 32.0F, 1.0F});  // 2.3 is 74 / 32
  expect(rounded("Pow", {b, torch::tensor(2.0F)}), {127 / 32.0F, 3 / 32.0F, 127 / 32.0F});
  expect(rounded("PRelu", {a, torch::tensor({0.3F})}), {1.0F, 2.0F, -29 / 32.0F});
}

TEST_F(RoundedNodes, MultiplyTheMatricesOfABatch) {
  const Tensor a = torch::randint(-2, 3, {2, 3, 4}).to(torch::kFloat);
  const Tensor b = torch::randint(-1, 2, {2, 4, 2}).to(torch::kFloat);
  const Tensor exact = at::matmul(a, b);
  EXPECT_TRUE(at::equal(rounded("MatMul", {a, b}), exact.clamp(-8, 255 / 32.0F)));
}

// Nothing is rounded in what only selects numbers, and no other node passes unrounded.
TEST_F(RoundedNodes, AreRefusedWhereTheyAreNotCovered) {
  const Tensor x = torch::tensor({-9.3F, 0.3F, 9.7F});
  EXPECT_TRUE(at::equal(rounded("Abs", {x}), x.abs()));
  EXPECT_TRUE(at::equal(rounded("Max", {x, -x}), x.abs()));
  EXPECT_THROW(rounded("Elu", {x}), Error);
  EXPECT_THROW(rounded("Sin", {x}), Error);
  EXPECT_THROW(rounded("HardSigmoid", {x}), Error);  // alpha is 0.2
  EXPECT_THROW(rounded("Pow", {x, torch::tensor(1.5F)}), Error);
}

// Before anything runs, where the exponent is a constant.
TEST_F(RoundedNodes, AreRefusedForExponentsThatTheFileTells) {
  onnx::Node node;
  node.op_type = "Pow";
  node.version = 15;
  node.inputs = {0, 1};
  const auto can_be_rounded = [&](const Tensor& exponent) {
    const NodeView view(node, {Tensor(), exponent}, {});
    return static_cast<bool>(make_rounded_function(view));
  };
  for (const float exponent : {1.0F, 2.0F, 4.0F, -1.0F, 0.5F, -0.5F}) {
    EXPECT_TRUE(can_be_rounded(torch::tensor(exponent))) << exponent;
  }
  for (const float exponent : {0.0F, 1.5F, 5.0F, -2.0F}) {
    EXPECT_FALSE(can_be_rounded(torch::tensor(exponent))) << exponent;
  }
  EXPECT_FALSE(can_be_rounded(torch::tensor({2.0F, 3.0F})));
}

}  // namespace
}  // namespace tensorquant::onnx_torch
