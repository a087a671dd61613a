#include <string>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/base/text.h"
#include "tensorquant/onnx/wire/model.h"
#include "tensorquant/onnx/wire/read_tensor.h"
#include "tensorquant/onnx/wire/wire_reader.h"

namespace tensorquant::onnx {
namespace {

constexpr std::int64_t kOldestIr = 3, kNewestIr = 14;

GraphProto read_graph(WireReader reader);

Dimension read_dimension(WireReader reader) {
  Dimension dimension = std::string();
  while (reader.next()) {
    if (reader.field() == 1) dimension = reader.integer();
    if (reader.field() == 2) dimension = std::string(reader.text());
  }
  return dimension;
}

std::vector<Dimension> read_shape(WireReader reader) {
  std::vector<Dimension> shape;
  while (reader.next()) {
    if (reader.field() == 1) shape.push_back(read_dimension(reader.message()));
  }
  return shape;
}

TensorType read_tensor_type(WireReader reader) {
  TensorType type;
  while (reader.next()) {
    if (reader.field() == 1) type.element = static_cast<DataType>(reader.integer32());
    if (reader.field() == 2) type.shape = read_shape(reader.message());
  }
  return type;
}

void read_type(WireReader reader, std::string_view text, ValueInfo& value) {
  while (reader.next()) {
    if (reader.field() == 1) value.tensor = read_tensor_type(reader.message());
  }
  if (!value.tensor) value.other_type = text;
}

ValueInfo read_value_info(WireReader reader) {
  ValueInfo value;
  while (reader.next()) {
    if (reader.field() == 1) value.name = reader.text();
    if (reader.field() == 2) read_type(reader.message(), reader.text(), value);
    if (reader.field() == 4) value.metadata.push_back(read_entry(reader.message()));
  }
  return value;
}

void read_floats(const WireReader& reader, std::vector<float>& values) {
  if (!reader.is_packed()) {
    values.push_back(reader.float32());
    return;
  }
  const std::span<const std::byte> bytes = reader.bytes();
  if (bytes.size() % sizeof(float) != 0) reader.fail("the bytes of floats are no multiple of 4");
  const std::size_t before = values.size();
  values.resize(before + bytes.size() / sizeof(float));
  std::copy(bytes.begin(), bytes.end(),
            std::as_writable_bytes(std::span(values).subspan(before)).begin());
}

void read_integers(const WireReader& reader, std::vector<std::int64_t>& values) {
  if (!reader.is_packed()) {
    values.push_back(reader.integer());
    return;
  }
  for (WireReader packed = reader.packed(); !packed.at_end();) {
    values.push_back(packed.next_integer());
  }
}

// The kind of value that a field holds.
AttributeType type_of_field(std::uint32_t field) {
  switch (field) {
    case 2:
      return AttributeType::f;
    case 3:
      return AttributeType::i;
    case 4:
      return AttributeType::s;
    case 5:
      return AttributeType::tensor;
    case 6:
      return AttributeType::graph;
    default:
      return static_cast<AttributeType>(field - 1);  // floats to graphs
  }
}

// `found`: the kind of the values that stand there; undefined for none, which means 0 or an empty
// list. Files of old writers do not tell the type.
void settle_type(const WireReader& reader, Attribute& attribute, AttributeType found) {
  const auto fail = [&](const std::string& reason) {
    reader.fail("attribute '" + shortened(attribute.name, 80) + "': " + reason);
  };
  if (attribute.type == AttributeType::undefined) attribute.type = found;
  const auto number = static_cast<std::int32_t>(attribute.type);
  if (attribute.name.empty() && !attribute.reference.empty()) fail("it has no name");
  if (!attribute.reference.empty()) {
    if (found != AttributeType::undefined) fail("a value and a reference to another");
    return;
  }
  if (number < 1 || number > 10) {
    fail("values of type " + std::to_string(number) + " are not supported");
  }
  if (found != AttributeType::undefined && found != attribute.type) {
    fail("its value is of another type than it says");
  }
  if (attribute.type == AttributeType::tensor && attribute.tensors.size() != 1) {
    fail("expected one tensor");
  }
  if (attribute.type == AttributeType::graph && attribute.graphs.size() != 1) {
    fail("expected one graph");
  }
  if (attribute.name.empty()) fail("it has no name");
}

Attribute read_attribute(WireReader reader) {
  Attribute attribute;
  AttributeType found = AttributeType::undefined;
  const WireReader begin = reader;
  while (reader.next()) {
    const std::uint32_t field = reader.field();
    if (field >= 2 && field <= 11) {
      const AttributeType type = type_of_field(field);
      if (found != AttributeType::undefined && found != type) {
        reader.fail("an attribute with values of two types");
      }
      found = type;
    }
    switch (field) {
      case 1:
        attribute.name = reader.text();
        break;
      case 2:
        attribute.f = reader.float32();
        break;
      case 3:
        attribute.i = reader.integer();
        break;
      case 4:
        attribute.s = reader.text();
        break;
      case 5:
      case 10:
        attribute.tensors.push_back(read_tensor(reader.message()));
        break;
      case 6:
      case 11:
        attribute.graphs.push_back(read_graph(reader.message()));
        break;
      case 7:
        read_floats(reader, attribute.floats);
        break;
      case 8:
        read_integers(reader, attribute.ints);
        break;
      case 9:
        attribute.strings.emplace_back(reader.text());
        break;
      case 20:
        attribute.type = static_cast<AttributeType>(reader.integer32());
        break;
      case 21:
        attribute.reference = reader.text();
        break;
      default:
        break;
    }
  }
  settle_type(begin, attribute, found);
  return attribute;
}

NodeProto read_node(WireReader reader) {
  NodeProto node;
  const WireReader begin = reader;
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        node.inputs.emplace_back(reader.text());
        break;
      case 2:
        node.outputs.emplace_back(reader.text());
        break;
      case 3:
        node.name = reader.text();
        break;
      case 4:
        node.op_type = reader.text();
        break;
      case 5:
        node.attributes.push_back(read_attribute(reader.message()));
        break;
      case 7:
        node.domain = reader.text();
        break;
      case 8:
        node.overload = reader.text();
        break;
      case 9:
        node.metadata.push_back(read_entry(reader.message()));
        break;
      default:
        break;
    }
  }
  if (node.op_type.empty()) begin.fail("a node without an operator");
  return node;
}

GraphProto read_graph(WireReader reader) {
  GraphProto graph;
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        graph.nodes.push_back(read_node(reader.message()));
        break;
      case 2:
        graph.name = reader.text();
        break;
      case 5:
        graph.initializers.push_back(read_tensor(reader.message()));
        break;
      case 11:
        graph.inputs.push_back(read_value_info(reader.message()));
        break;
      case 12:
        graph.outputs.push_back(read_value_info(reader.message()));
        break;
      case 13:
        graph.values.push_back(read_value_info(reader.message()));
        break;
      case 15:
        reader.fail("sparse initializers are not supported");
      case 16:
        graph.metadata.push_back(read_entry(reader.message()));
        break;
      default:
        break;
    }
  }
  return graph;
}

OperatorSet read_operator_set(WireReader reader) {
  OperatorSet set;
  while (reader.next()) {
    if (reader.field() == 1) set.domain = reader.text();
    if (reader.field() == 2) set.version = reader.integer();
  }
  return set;
}

FunctionProto read_function(WireReader reader) {
  FunctionProto function;
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        function.name = reader.text();
        break;
      case 4:
        function.inputs.emplace_back(reader.text());
        break;
      case 5:
        function.outputs.emplace_back(reader.text());
        break;
      case 6:
        function.attributes.emplace_back(reader.text());
        break;
      case 7:
        function.nodes.push_back(read_node(reader.message()));
        break;
      case 9:
        function.operator_sets.push_back(read_operator_set(reader.message()));
        break;
      case 10:
        function.domain = reader.text();
        break;
      case 11:
        function.defaults.push_back(read_attribute(reader.message()));
        break;
      case 12:
        function.values.push_back(read_value_info(reader.message()));
        break;
      case 13:
        function.overload = reader.text();
        break;
      case 14:
        function.metadata.push_back(read_entry(reader.message()));
        break;
      default:
        break;
    }
  }
  return function;
}

}  // namespace

ModelProto parse_model(std::span<const std::byte> file, const std::string& source) {
  ModelProto model;
  bool has_graph = false;
  WireReader reader(file, source);
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        model.ir_version = reader.integer();
        break;
      case 2:
        model.producer_name = reader.text();
        break;
      case 3:
        model.producer_version = reader.text();
        break;
      case 4:
        model.domain = reader.text();
        break;
      case 5:
        model.model_version = reader.integer();
        break;
      case 7:
        if (has_graph) reader.fail("a second graph");
        model.graph = read_graph(reader.message());
        has_graph = true;
        break;
      case 8:
        model.operator_sets.push_back(read_operator_set(reader.message()));
        break;
      case 14:
        model.metadata.push_back(read_entry(reader.message()));
        break;
      case 25:
        model.functions.push_back(read_function(reader.message()));
        break;
      default:
        break;
    }
  }
  if (!has_graph) throw Error(source + ": is not an ONNX model: it has no graph");
  if (model.ir_version < kOldestIr || model.ir_version > kNewestIr) {
    throw Error(source + ": IR version " + std::to_string(model.ir_version) + ": expected " +
                std::to_string(kOldestIr) + " to " + std::to_string(kNewestIr));
  }
  return model;
}

ModelProto read_model(const std::filesystem::path& path) {
  ModelProto model = parse_model(read_file(path), path.string());
  load_external_data(model, path.parent_path(), path.string());
  return model;
}

Tensor parse_tensor(std::span<const std::byte> file, const std::string& source) {
  Tensor tensor = read_tensor(WireReader(file, source));
  if (tensor.external) throw Error(source + ": external data of a tensor that is in no model");
  return tensor;
}

Tensor read_tensor_file(const std::filesystem::path& path) {
  return parse_tensor(read_file(path), path.string());
}

}  // namespace tensorquant::onnx
