#ifndef TENSORQUANT_ONNX_NAMES_LAYERS_H_
#define TENSORQUANT_ONNX_NAMES_LAYERS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensorquant/onnx/graph/graph.h"

namespace tensorquant::onnx {

// A node as maps see it.
struct Layer {
  enum class Role : std::uint8_t {
    computes,  // rules may hit it
    moves,     // it moves or selects numbers: one that is in a format stays in it
    other,  // integers, sizes, constants, casts, quantization nodes; sums with a constant, scales
  };

  const Node* node = nullptr;  // of the graph
  // One for each export of a network, and that of the module which the node came from where that is
  // known: "layer1.0.conv1"; of a node without a weight with its operator: "layer1.0.Add". No two
  // nodes have one name.
  std::string name;
  Role role = Role::other;
  std::vector<ValueId> weights;  // constants; those of LSTM and the like are two
  ValueId bias = kNoValue;       // a constant
  // Which of the node's inputs these are; one tensor may be two of them.
  std::vector<std::size_t> weight_inputs;
  std::size_t bias_input = 0;       // not of a bias_node's
  const Node* bias_node = nullptr;  // the Add behind a MatMul whose constant is the bias: one layer
  bool has_integer_factors = false;  // see integer_factors.h
};

// Where names come from: `canonical` are those of docs/onnx.md; `node` the nodes' own, of one
// without a name its output's; `output` those of the nodes' first outputs.
enum class NameSource : std::uint8_t { canonical, node, output };

// All nodes but the Add of a `bias_node`, in the order of the file, each before those of its
// subgraphs. The graph must stay where it is. Error if names of nodes around subgraphs are
// so long that those inside would take much memory.
std::vector<Layer> layers_of(const Graph& graph, NameSource names = NameSource::canonical);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_NAMES_LAYERS_H_
