#ifndef TENSORQUANT_ONNX_GRAPH_REPLACE_CONSTANTS_H_
#define TENSORQUANT_ONNX_GRAPH_REPLACE_CONSTANTS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tensorquant/onnx/wire/model.h"

namespace tensorquant::onnx {

// Other numbers for what a node reads.
struct NewConstant {
  std::string node_output;  // the node's first
  std::size_t input;        // of the node
  Tensor tensor;            // of the same type and sizes; its name is a wish
};

// An initializer that nobody else reads keeps its name and gets the new numbers. Of everything
// else, such as a tensor that two nodes share or that nodes make of others, the node reads a new
// initializer in its place. Error that names the node's output where the main graph has no such
// node: it is in a function or a subgraph. The model is then as it was.
void replace_constants(ModelProto& model, std::vector<NewConstant> constants);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_GRAPH_REPLACE_CONSTANTS_H_
