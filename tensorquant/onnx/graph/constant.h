#ifndef TENSORQUANT_ONNX_GRAPH_CONSTANT_H_
#define TENSORQUANT_ONNX_GRAPH_CONSTANT_H_

#include "tensorquant/onnx/wire/model.h"

namespace tensorquant::onnx {

// The value of a node Constant, of whichever attribute it takes it. An Error gives the reason
// alone.
Tensor constant_of(const NodeProto& node);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_GRAPH_CONSTANT_H_
