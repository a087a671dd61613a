#include <limits>
#include <string>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/onnx/wire/model.h"
#include "tensorquant/onnx/wire/wire_writer.h"

namespace tensorquant::onnx {
namespace {

WireWriter graph_message(const GraphProto& graph);

void write_metadata(WireWriter& writer, std::uint32_t field, const Metadata& metadata) {
  for (const auto& [key, value] : metadata) {
    WireWriter entry;
    entry.text(1, key);
    entry.text(2, value);
    writer.message(field, entry);
  }
}

void write_external(WireWriter& writer, const ExternalData& external) {
  Metadata entries = {{"location", external.location}, {"offset", std::to_string(external.offset)}};
  if (external.length) entries.emplace_back("length", std::to_string(*external.length));
  write_metadata(writer, 13, entries);
  writer.integer(14, 1);
}

WireWriter tensor_message(const Tensor& tensor) {
  WireWriter writer;
  for (const std::int64_t dim : tensor.dims) writer.integer(1, dim);
  writer.integer(2, static_cast<std::int32_t>(tensor.type));
  for (const std::string& text : tensor.strings) writer.text(6, text);
  writer.text_if_any(8, tensor.name);
  if (tensor.external) {
    write_external(writer, *tensor.external);
  } else if (tensor.type != DataType::string) {
    writer.bytes(9, tensor.bytes);
  }
  write_metadata(writer, 16, tensor.metadata);
  return writer;
}

WireWriter shape_message(const std::vector<Dimension>& shape) {
  WireWriter writer;
  for (const Dimension& dimension : shape) {
    WireWriter one;
    if (const auto* number = std::get_if<std::int64_t>(&dimension)) {
      one.integer(1, *number);
    } else {
      one.text_if_any(2, std::get<std::string>(dimension));
    }
    writer.message(1, one);
  }
  return writer;
}

WireWriter value_message(const ValueInfo& value) {
  WireWriter writer;
  writer.text_if_any(1, value.name);
  if (value.tensor) {
    WireWriter tensor;
    tensor.integer(1, static_cast<std::int32_t>(value.tensor->element));
    if (value.tensor->shape) tensor.message(2, shape_message(*value.tensor->shape));
    WireWriter type;
    type.message(1, tensor);
    writer.message(2, type);
  } else {
    writer.text_if_any(2, value.other_type);
  }
  write_metadata(writer, 4, value.metadata);
  return writer;
}

// Only the value that the type says, so that what is written is what counts.
void write_value(WireWriter& writer, const Attribute& attribute) {
  switch (attribute.type) {
    case AttributeType::f:
      return writer.float32(2, attribute.f);
    case AttributeType::i:
      return writer.integer(3, attribute.i);
    case AttributeType::s:
      return writer.text(4, attribute.s);
    case AttributeType::tensor:
      return writer.message(5, tensor_message(attribute.tensors.front()));
    case AttributeType::graph:
      return writer.message(6, graph_message(attribute.graphs.front()));
    case AttributeType::floats:
      for (const float value : attribute.floats) writer.float32(7, value);
      return;
    case AttributeType::ints:
      for (const std::int64_t value : attribute.ints) writer.integer(8, value);
      return;
    case AttributeType::strings:
      for (const std::string& value : attribute.strings) writer.text(9, value);
      return;
    case AttributeType::tensors:
      for (const Tensor& value : attribute.tensors) writer.message(10, tensor_message(value));
      return;
    case AttributeType::graphs:
      for (const GraphProto& value : attribute.graphs) writer.message(11, graph_message(value));
      return;
    case AttributeType::undefined:
      return;
  }
}

WireWriter attribute_message(const Attribute& attribute) {
  WireWriter writer;
  writer.text(1, attribute.name);
  if (attribute.reference.empty()) write_value(writer, attribute);
  writer.integer(20, static_cast<std::int32_t>(attribute.type));
  writer.text_if_any(21, attribute.reference);
  return writer;
}

WireWriter node_message(const NodeProto& node) {
  WireWriter writer;
  for (const std::string& name : node.inputs) writer.text(1, name);
  for (const std::string& name : node.outputs) writer.text(2, name);
  writer.text_if_any(3, node.name);
  writer.text(4, node.op_type);
  for (const Attribute& one : node.attributes) writer.message(5, attribute_message(one));
  writer.text_if_any(7, node.domain);
  writer.text_if_any(8, node.overload);
  write_metadata(writer, 9, node.metadata);
  return writer;
}

WireWriter graph_message(const GraphProto& graph) {
  WireWriter writer;
  for (const NodeProto& node : graph.nodes) writer.message(1, node_message(node));
  writer.text_if_any(2, graph.name);
  for (const Tensor& tensor : graph.initializers) writer.message(5, tensor_message(tensor));
  for (const ValueInfo& value : graph.inputs) writer.message(11, value_message(value));
  for (const ValueInfo& value : graph.outputs) writer.message(12, value_message(value));
  for (const ValueInfo& value : graph.values) writer.message(13, value_message(value));
  write_metadata(writer, 16, graph.metadata);
  return writer;
}

void write_operator_sets(WireWriter& writer, std::uint32_t field,
                         const std::vector<OperatorSet>& sets) {
  for (const OperatorSet& set : sets) {
    WireWriter one;
    one.text(1, set.domain);
    one.integer(2, set.version);
    writer.message(field, one);
  }
}

WireWriter function_message(const FunctionProto& function) {
  WireWriter writer;
  writer.text(1, function.name);
  for (const std::string& name : function.inputs) writer.text(4, name);
  for (const std::string& name : function.outputs) writer.text(5, name);
  for (const std::string& name : function.attributes) writer.text(6, name);
  for (const NodeProto& node : function.nodes) writer.message(7, node_message(node));
  write_operator_sets(writer, 9, function.operator_sets);
  writer.text(10, function.domain);
  for (const Attribute& one : function.defaults) writer.message(11, attribute_message(one));
  for (const ValueInfo& value : function.values) writer.message(12, value_message(value));
  writer.text_if_any(13, function.overload);
  write_metadata(writer, 14, function.metadata);
  return writer;
}

}  // namespace

std::string serialize_model(const ModelProto& model) {
  WireWriter writer;
  writer.integer(1, model.ir_version);
  writer.text_if_any(2, model.producer_name);
  writer.text_if_any(3, model.producer_version);
  writer.text_if_any(4, model.domain);
  writer.integer_if_any(5, model.model_version);
  writer.message(7, graph_message(model.graph));
  write_operator_sets(writer, 8, model.operator_sets);
  write_metadata(writer, 14, model.metadata);
  for (const FunctionProto& function : model.functions) {
    writer.message(25, function_message(function));
  }
  return writer.written();
}

void write_model(const std::filesystem::path& path, const ModelProto& model) {
  const std::string file = serialize_model(model);
  if (file.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw Error(path.string() + ": cannot write: " + std::to_string(file.size()) +
                " bytes, an ONNX file has less than 2 GiB");
  }
  write_file_atomically(path, file);
}

}  // namespace tensorquant::onnx
