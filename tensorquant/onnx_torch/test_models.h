#ifndef TENSORQUANT_ONNX_TORCH_TEST_MODELS_H_
#define TENSORQUANT_ONNX_TORCH_TEST_MODELS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/base/test_files.h"
#include "tensorquant/onnx_torch/onnx_model.h"

// Small models for tests.
namespace tensorquant {

using onnx::AttributeType;
using onnx::DataType;
using Texts = std::vector<std::string>;
using Integers = std::vector<std::int64_t>;

inline onnx::NodeProto node(const std::string& type, Texts inputs, Texts outputs,
                            const std::string& name = "") {
  onnx::NodeProto made;
  made.op_type = type;
  made.name = name;
  made.inputs = std::move(inputs);
  made.outputs = std::move(outputs);
  return made;
}

template <class T>
inline onnx::Tensor constant(const std::string& name, DataType type, std::vector<std::int64_t> dims,
                             std::vector<T> values) {
  onnx::Tensor tensor =
      onnx::make_tensor(type, std::move(dims), std::as_bytes(std::span<const T>(values)));
  tensor.name = name;
  return tensor;
}

inline onnx::Tensor floats(const std::string& name, std::vector<std::int64_t> dims,
                           std::vector<float> values) {
  return constant<float>(name, DataType::f32, std::move(dims), std::move(values));
}

// x -> nodes -> y
inline onnx::ModelProto model_of(std::vector<onnx::NodeProto> nodes,
                                 std::vector<onnx::Tensor> constants = {}) {
  onnx::ModelProto model;
  model.operator_sets = {{"", 17}};
  model.graph.nodes = std::move(nodes);
  model.graph.initializers = std::move(constants);
  model.graph.inputs = {{"x", onnx::TensorType{DataType::f32, std::nullopt}, "", {}}};
  model.graph.outputs = {{"y", std::nullopt, "", {}}};
  return model;
}

inline onnx::Attribute attribute(const std::string& name, int value) {
  onnx::Attribute made;
  made.name = name;
  made.type = AttributeType::i;
  made.i = value;
  return made;
}

inline onnx::Attribute attribute(const std::string& name, std::vector<std::int64_t> values) {
  onnx::Attribute made;
  made.name = name;
  made.type = AttributeType::ints;
  made.ints = std::move(values);
  return made;
}

inline onnx::Attribute attribute(const std::string& name, const char* value) {
  onnx::Attribute made;
  made.name = name;
  made.type = AttributeType::s;
  made.s = value;
  return made;
}

inline onnx::Attribute attribute(const std::string& name, float value) {
  onnx::Attribute made;
  made.name = name;
  made.type = AttributeType::f;
  made.f = value;
  return made;
}

using Attributes = std::vector<onnx::Attribute>;

inline onnx::NodeProto with(onnx::NodeProto node, Attributes attributes) {
  node.attributes = std::move(attributes);
  return node;
}

inline at::Tensor tensor(std::vector<float> values, std::vector<std::int64_t> sizes) {
  return at::tensor(values).reshape(sizes);
}

inline at::Tensor run(onnx::ModelProto model, const at::Tensor& x) {
  return make_onnx_model(std::move(model), "file")->forward({x}).front();
}

inline std::string error_of_model(onnx::ModelProto model) {
  return error_of([&] { make_onnx_model(std::move(model), "file"); });
}

}  // namespace tensorquant

#endif  // TENSORQUANT_ONNX_TORCH_TEST_MODELS_H_
