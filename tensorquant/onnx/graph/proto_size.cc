#include "tensorquant/onnx/graph/proto_size.h"

#include <string>

namespace tensorquant::onnx {
namespace {

constexpr std::size_t kAlways = 16 << 20;
constexpr std::size_t kTimes = 16;

std::size_t size_of(const Tensor& tensor) {
  return sizeof tensor + tensor.bytes.size() + proto_size(tensor.strings) + tensor.dims.size() * 8;
}

std::size_t size_of(const GraphProto& graph) {
  std::size_t size = sizeof graph + proto_size(graph.nodes);
  for (const Tensor& tensor : graph.initializers) size += size_of(tensor);
  return size;
}

}  // namespace

std::size_t proto_size(const std::vector<std::string>& names) {
  std::size_t size = 0;
  for (const std::string& name : names) size += sizeof name + name.size();
  return size;
}

std::size_t proto_size(const Attribute& attribute) {
  std::size_t size = sizeof attribute + attribute.s.size() + proto_size(attribute.strings) +
                     attribute.floats.size() * 4 + attribute.ints.size() * 8;
  for (const Tensor& tensor : attribute.tensors) size += size_of(tensor);
  for (const GraphProto& graph : attribute.graphs) size += size_of(graph);
  return size;
}

std::size_t proto_size(const std::vector<Attribute>& attributes) {
  std::size_t size = 0;
  for (const Attribute& attribute : attributes) size += proto_size(attribute);
  return size;
}

std::size_t proto_size(const std::vector<NodeProto>& nodes) {
  std::size_t size = 0;
  for (const NodeProto& node : nodes) {
    size += sizeof node + node.name.size() + proto_size(node.inputs) + proto_size(node.outputs) +
            proto_size(node.attributes);
  }
  return size;
}

std::size_t proto_size_limit(const ModelProto& model) {
  std::size_t size = size_of(model.graph);
  for (const FunctionProto& function : model.functions) size += proto_size(function.nodes);
  return kAlways + kTimes * size;
}

}  // namespace tensorquant::onnx
