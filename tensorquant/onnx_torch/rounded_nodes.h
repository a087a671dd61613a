#ifndef TENSORQUANT_ONNX_TORCH_ROUNDED_NODES_H_
#define TENSORQUANT_ONNX_TORCH_ROUNDED_NODES_H_

#include <ATen/core/Tensor.h>

#include <functional>

#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"
#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::onnx_torch {

// What a node computes of its inputs where an intrinsic map rounds its arithmetic.
using RoundedFunction = std::function<at::Tensor(const LayerArithmetic&, const Tensors&)>;

// That of nodes whose arithmetic can be rounded and that are none of libtorch's layers, as
// docs/arithmetic.md defines it; none for other nodes.
RoundedFunction make_rounded_function(const NodeView& node);

// Whether the operator only selects among numbers, so that there is nothing to round.
bool selects_numbers(const NodeView& node);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_ROUNDED_NODES_H_
