#ifndef TENSORQUANT_ONNX_WIRE_MODEL_H_
#define TENSORQUANT_ONNX_WIRE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "tensorquant/onnx/wire/tensor.h"

// What an ONNX file says (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), as plain data.
// What nobody here needs is not kept: doc strings, training information, device configurations and
// quantization annotations.
namespace tensorquant::onnx {

// With ONNX's numbers.
enum class AttributeType : std::int32_t {
  undefined = 0,
  f = 1,
  i = 2,
  s = 3,
  tensor = 4,
  graph = 5,
  floats = 6,
  ints = 7,
  strings = 8,
  tensors = 9,
  graphs = 10,
};

struct GraphProto;

// Of the values, that of `type` counts; of a tensor or graph there is one.
struct Attribute {
  std::string name;
  AttributeType type = AttributeType::undefined;
  std::string reference;  // in a function: the attribute of its call that this one stands for
  float f = 0;
  std::int64_t i = 0;
  std::string s;
  std::vector<float> floats;
  std::vector<std::int64_t> ints;
  std::vector<std::string> strings;
  std::vector<Tensor> tensors;
  std::vector<GraphProto> graphs;
  friend bool operator==(const Attribute&, const Attribute&);
};

struct NodeProto {
  std::string name, domain, op_type, overload;
  std::vector<std::string> inputs, outputs;  // "" for one that is left out
  std::vector<Attribute> attributes;
  Metadata metadata;
  bool operator==(const NodeProto&) const = default;
};

// A size of a shape: a number, a name, or unknown ("").
using Dimension = std::variant<std::int64_t, std::string>;

struct TensorType {
  DataType element = DataType::undefined;
  std::optional<std::vector<Dimension>> shape;  // nothing: of unknown rank
  bool operator==(const TensorType&) const = default;
};

struct ValueInfo {
  std::string name;
  std::optional<TensorType> tensor;
  std::string other_type;  // a TypeProto that is no tensor, as it stands in the file
  Metadata metadata;
  bool operator==(const ValueInfo&) const = default;
};

struct GraphProto {
  std::string name;
  std::vector<NodeProto> nodes;
  std::vector<Tensor> initializers;
  std::vector<ValueInfo> inputs, outputs, values;
  Metadata metadata;
  bool operator==(const GraphProto&) const = default;
};

// Spelled out: Debian's clang 14 crashes on a default here.
inline bool operator==(const Attribute& a, const Attribute& b) {
  const auto all = [](const Attribute& x) {
    return std::tie(x.name, x.type, x.reference, x.f, x.i, x.s, x.floats, x.ints, x.strings,
                    x.tensors, x.graphs);
  };
  return all(a) == all(b);
}

// A version of the operators of a domain; the standard's domain is "".
struct OperatorSet {
  std::string domain;
  std::int64_t version = 0;
  bool operator==(const OperatorSet&) const = default;
};

struct FunctionProto {
  std::string domain, name, overload;
  std::vector<std::string> inputs, outputs;
  std::vector<std::string> attributes;  // without a default value
  std::vector<Attribute> defaults;
  std::vector<NodeProto> nodes;
  std::vector<OperatorSet> operator_sets;
  std::vector<ValueInfo> values;
  Metadata metadata;
  bool operator==(const FunctionProto&) const = default;
};

struct ModelProto {
  std::int64_t ir_version = 0;
  std::vector<OperatorSet> operator_sets;
  std::string producer_name, producer_version, domain;
  std::int64_t model_version = 0;
  GraphProto graph;
  std::vector<FunctionProto> functions;
  Metadata metadata;
  bool operator==(const ModelProto&) const = default;
};

// The model with the external data of its tensors. Errors name the file, and the byte or the
// tensor: not the protobuf of a model, an IR version outside 3 to 14, a tensor whose data do not
// fit its type and dimensions, a sparse tensor, external data that are not within a plain file
// below the model's folder.
ModelProto read_model(const std::filesystem::path& path);

// The same for a file in memory, without the external data; errors name `source`. Memory is in
// proportion to the file.
ModelProto parse_model(std::span<const std::byte> file, const std::string& source);

// A file that holds one tensor, as the inputs and outputs of ONNX's own tests do
// (test_data_set_0/input_0.pb). Errors name the file: as of read_model(); external data, which
// belong to a model.
Tensor read_tensor_file(const std::filesystem::path& path);
Tensor parse_tensor(std::span<const std::byte> file, const std::string& source);

// Brings the external data of all tensors in. Links are not followed.
void load_external_data(ModelProto& model, const std::filesystem::path& folder,
                        const std::string& source);

// The file's bytes: those of protobuf's own libraries for a model whose tensors have raw data.
std::string serialize_model(const ModelProto& model);

// Writes the file, whole or not at all. Error where it would have 2 GiB or more, which no other
// reader takes.
void write_model(const std::filesystem::path& path, const ModelProto& model);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_WIRE_MODEL_H_
