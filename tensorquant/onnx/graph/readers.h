#ifndef TENSORQUANT_ONNX_GRAPH_READERS_H_
#define TENSORQUANT_ONNX_GRAPH_READERS_H_

#include <cstddef>
#include <string>
#include <unordered_map>

#include "tensorquant/onnx/wire/model.h"

namespace tensorquant::onnx {

// How often each name is read, in subgraphs too, and by being an output; names that are only made
// count as 0.
using Readers = std::unordered_map<std::string, std::size_t>;

Readers count_readers(const GraphProto& graph);

// Null where there is none.
Tensor* find_initializer(GraphProto& graph, const std::string& name);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_GRAPH_READERS_H_
