#ifndef TENSORQUANT_ONNX_GRAPH_FLAT_MODEL_H_
#define TENSORQUANT_ONNX_GRAPH_FLAT_MODEL_H_

#include <cstdint>

#include "tensorquant/onnx/graph/graph.h"

namespace tensorquant::onnx {

// A model that computes what the graph does, for those who read models: the same nodes in the same
// order, functions inlined, all constants as initializers of the outermost graph, no two values of
// one name; behind them an Identity for each output that is a value of another name. `ir_version`: of the file; 4 is the least, from which on initializers need not be inputs.
//
// Error, which names the node, where a function's nodes are of another version of the operators
// than the model's.
ModelProto flat_model(const Graph& graph, std::int64_t ir_version);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_GRAPH_FLAT_MODEL_H_
