#include "tensorquant/onnx/export/node_maker.h"

#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx {

Attribute int_attribute(const std::string& name, std::int64_t value) {
  Attribute attribute;
  attribute.name = name;
  attribute.type = AttributeType::i;
  attribute.i = value;
  return attribute;
}

Attribute text_attribute(const std::string& name, const std::string& value) {
  Attribute attribute;
  attribute.name = name;
  attribute.type = AttributeType::s;
  attribute.s = value;
  return attribute;
}

Attribute tensor_attribute(const std::string& name, Tensor value) {
  Attribute attribute;
  attribute.name = name;
  attribute.type = AttributeType::tensor;
  attribute.tensors.push_back(std::move(value));
  return attribute;
}

Tensor float_tensor(std::span<const float> values) {
  std::vector<std::int64_t> dims;
  if (values.size() != 1) dims.push_back(static_cast<std::int64_t>(values.size()));
  return make_tensor(DataType::f32, std::move(dims), std::as_bytes(values));
}

Tensor code_tensor(DataType type, std::int64_t code) {
  // Little-endian, the lowest bits first; those of a small type fill a byte.
  const std::size_t size = static_cast<std::size_t>(bits_of(type) + 7) / 8;
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(code >> (8 * i));
  if (bits_of(type) < 8) bytes[0] &= static_cast<std::byte>((1 << bits_of(type)) - 1);
  return make_tensor(type, {}, bytes);
}

void NodeMaker::require(std::int64_t version) const {
  if (version_ >= version) return;
  throw Error("needs version " + std::to_string(version) + " of ONNX's operators, the model has " +
              std::to_string(version_));
}

std::string NodeMaker::add(const std::string& type, std::vector<std::string> inputs,
                           std::vector<Attribute> attributes, const std::string& domain) {
  const std::string name = prefix_ + std::to_string(++count_) + "_" + type;
  nodes.push_back({name, domain, type, "", std::move(inputs), {name}, std::move(attributes), {}});
  return name;
}

std::string NodeMaker::constant(Tensor tensor) {
  if (constants_ == Constants::nodes) {
    return add("Constant", {}, {tensor_attribute("value", std::move(tensor))});
  }
  tensor.name = prefix_ + std::to_string(++count_);
  initializers.push_back(std::move(tensor));
  return initializers.back().name;
}

}  // namespace tensorquant::onnx
