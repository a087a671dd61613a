#ifndef TENSORQUANT_ONNX_TORCH_OPERATORS_OPERATORS_H_
#define TENSORQUANT_ONNX_TORCH_OPERATORS_OPERATORS_H_

#include <map>
#include <string_view>

#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::onnx_torch {

// How the function of a node is made; an Error gives the reason why it cannot be.
using Maker = Function (*)(const NodeView&);
using Makers = std::map<std::string_view, Maker>;  // by the operator's name

// The operators of the standard's domain, by kind.
Makers elementwise_operators();
Makers movement_operators();
Makers reduction_operators();
Makers window_operators();  // convolutions and pools
Makers product_operators();
Makers normalization_operators();
Makers quantization_operators();
// Those of QONNX, whose domain has several names.
Makers qonnx_operators();

// Null for an operator that is not there.
Maker find_operator(std::string_view domain, std::string_view op_type);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_OPERATORS_OPERATORS_H_
