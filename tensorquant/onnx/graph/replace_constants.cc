#include "tensorquant/onnx/graph/replace_constants.h"

#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/text.h"
#include "tensorquant/onnx/graph/readers.h"

namespace tensorquant::onnx {
namespace {

NodeProto* find_node(GraphProto& graph, const std::string& output) {
  for (NodeProto& node : graph.nodes) {
    if (!node.outputs.empty() && node.outputs.front() == output) return &node;
  }
  return nullptr;
}

std::string free_name(const std::string& wish, const Readers& readers) {
  std::string name = wish;
  for (int number = 2; readers.contains(name); ++number) name = wish + "#" + std::to_string(number);
  return name;
}

void add_initializer(ModelProto& model, Tensor tensor) {
  constexpr std::int64_t kInitializersAreNoInputs = 4;  // from this version of the format on
  if (model.ir_version < kInitializersAreNoInputs) {
    TensorType type;
    type.element = tensor.type;
    type.shape.emplace(tensor.dims.begin(), tensor.dims.end());
    model.graph.inputs.push_back({tensor.name, std::move(type), "", {}});
  }
  model.graph.initializers.push_back(std::move(tensor));
}

}  // namespace

void replace_constants(ModelProto& model, std::vector<NewConstant> constants) {
  std::vector<NodeProto*> nodes;
  for (const NewConstant& one : constants) {
    nodes.push_back(find_node(model.graph, one.node_output));
    if (nodes.back() == nullptr || one.input >= nodes.back()->inputs.size()) {
      throw Error("the node of '" + shortened(one.node_output, 80) +
                  "' is in a function or a subgraph: its numbers cannot be replaced");
    }
  }
  Readers readers = count_readers(model.graph);
  for (std::size_t i = 0; i < constants.size(); ++i) {
    std::string& read = nodes[i]->inputs[constants[i].input];
    Tensor& wanted = constants[i].tensor;
    Tensor* initializer = find_initializer(model.graph, read);
    const bool fits = initializer != nullptr && initializer->type == wanted.type &&
                      initializer->dims == wanted.dims && readers[read] == 1;
    if (fits) {
      initializer->bytes = std::move(wanted.bytes);
      continue;
    }
    wanted.name = free_name(wanted.name, readers);
    --readers[read];
    readers[wanted.name] = 1;
    read = wanted.name;
    add_initializer(model, std::move(wanted));
  }
}

}  // namespace tensorquant::onnx
