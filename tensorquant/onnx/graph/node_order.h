#ifndef TENSORQUANT_ONNX_GRAPH_NODE_ORDER_H_
#define TENSORQUANT_ONNX_GRAPH_NODE_ORDER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tensorquant/onnx/wire/model.h"

namespace tensorquant::onnx {

// "node 'conv1' (Conv)"; of a node without a name, "the node of 'out' (Conv)".
std::string describe_node(const NodeProto& node);

// Why a value that node `reader` of the list reads is not there yet.
std::string why_missing(const std::vector<NodeProto>& nodes, std::size_t reader,
                        const std::string& value);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_GRAPH_NODE_ORDER_H_
