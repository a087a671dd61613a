#ifndef TENSORQUANT_ONNX_GRAPH_GRAPH_H_
#define TENSORQUANT_ONNX_GRAPH_GRAPH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensorquant/onnx/wire/model.h"

// What a model computes: its file's graph with every name looked up. Values have numbers, functions
// are inlined, and Constant nodes are constants as initializers are.
namespace tensorquant::onnx {

using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;  // an input or output that is left out

struct Value {
  std::string name;                        // of a function's: with the call's before it
  std::optional<TensorType> type;          // where the file tells it
  std::shared_ptr<const Tensor> constant;  // of an initializer or a Constant node
};

struct NamedBlock;

struct Node {
  std::string name, domain, op_type;  // the standard's domain is ""
  std::int64_t version = 0;           // of the domain's operator set
  std::vector<ValueId> inputs, outputs;
  std::vector<Attribute> attributes;  // but graphs
  std::vector<NamedBlock> blocks;     // those
  Metadata metadata;
};

// The nodes of a graph or of a subgraph, each after those whose values it reads. A subgraph reads
// the values of the blocks around it too.
struct Block {
  std::vector<ValueId> inputs, outputs;
  std::vector<Node> nodes;
};

struct NamedBlock {
  std::string name;  // the attribute's
  Block block;
};

struct Graph {
  std::string source;  // what errors call the model
  std::vector<Value> values;
  Block block;  // its inputs are those without an initializer: one with is a constant
  std::vector<std::string> output_names;
  std::map<std::string, std::int64_t> operator_sets;  // domain to version
};

// Errors are one line that begins with `source` and names the node: a value that nothing makes, or
// a later node, or that depends on itself; two makers of one; an operator of a domain without a
// version; a function that calls itself; a default of a function's attribute that refers to
// another; functions that would make the model much larger than its file; subgraphs that lie too
// deep in each other; external data that were not loaded.
Graph make_graph(ModelProto model, const std::string& source);

// "node 'conv1' (Conv)"; of a node without a name, "the node of 'out' (Conv)".
std::string describe(const Graph& graph, const Node& node);

// Null where the node has no such attribute.
const Attribute* find_attribute(const Node& node, std::string_view name);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_GRAPH_GRAPH_H_
