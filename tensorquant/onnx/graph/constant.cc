#include "tensorquant/onnx/graph/constant.h"

#include <span>
#include <string>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx {
namespace {

template <class T>
Tensor vector_of(DataType type, const std::vector<T>& values) {
  return make_tensor(type, {static_cast<std::int64_t>(values.size())},
                     std::as_bytes(std::span(values)));
}

template <class T>
Tensor scalar_of(DataType type, const T& value) {
  return make_tensor(type, {}, std::as_bytes(std::span(&value, 1)));
}

Tensor strings_of(std::vector<std::int64_t> dims, std::vector<std::string> values) {
  Tensor tensor = make_tensor(DataType::string, std::move(dims), {});
  tensor.strings = std::move(values);
  return tensor;
}

void require(const Attribute& attribute, AttributeType type) {
  if (attribute.type != type) {
    throw Error("attribute '" + attribute.name +
                "': its value is of another type than its name says");
  }
}

}  // namespace

Tensor constant_of(const NodeProto& node) {
  if (node.attributes.size() != 1) {
    throw Error("expected one attribute, found " + std::to_string(node.attributes.size()));
  }
  const Attribute& value = node.attributes.front();
  if (value.name == "value") {
    require(value, AttributeType::tensor);
    return value.tensors.front();
  }
  if (value.name == "value_float") {
    require(value, AttributeType::f);
    return scalar_of(DataType::f32, value.f);
  }
  if (value.name == "value_int") {
    require(value, AttributeType::i);
    return scalar_of(DataType::i64, value.i);
  }
  if (value.name == "value_string") {
    require(value, AttributeType::s);
    return strings_of({}, {value.s});
  }
  if (value.name == "value_floats") {
    require(value, AttributeType::floats);
    return vector_of(DataType::f32, value.floats);
  }
  if (value.name == "value_ints") {
    require(value, AttributeType::ints);
    return vector_of(DataType::i64, value.ints);
  }
  if (value.name == "value_strings") {
    require(value, AttributeType::strings);
    return strings_of({static_cast<std::int64_t>(value.strings.size())}, value.strings);
  }
  throw Error("attribute '" + value.name + "': there is no such value of a constant");
}

}  // namespace tensorquant::onnx
