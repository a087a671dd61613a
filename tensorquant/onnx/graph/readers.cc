#include "tensorquant/onnx/graph/readers.h"

#include <algorithm>

namespace tensorquant::onnx {
namespace {

void add_readers(const GraphProto& graph, Readers& readers) {
  for (const Tensor& tensor : graph.initializers) readers[tensor.name];
  for (const ValueInfo& value : graph.inputs) readers[value.name];
  for (const ValueInfo& value : graph.outputs) ++readers[value.name];
  for (const NodeProto& node : graph.nodes) {
    for (const std::string& name : node.inputs) ++readers[name];
    for (const std::string& name : node.outputs) readers[name];
    for (const Attribute& attribute : node.attributes) {
      for (const GraphProto& inner : attribute.graphs) add_readers(inner, readers);
    }
  }
}

}  // namespace

Readers count_readers(const GraphProto& graph) {
  Readers readers;
  add_readers(graph, readers);
  return readers;
}

Tensor* find_initializer(GraphProto& graph, const std::string& name) {
  const auto found = std::find_if(graph.initializers.begin(), graph.initializers.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  return found == graph.initializers.end() ? nullptr : &*found;
}

}  // namespace tensorquant::onnx
