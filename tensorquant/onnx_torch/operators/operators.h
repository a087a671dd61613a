#ifndef TENSORQUANT_ONNX_TORCH_OPERATORS_OPERATORS_H_
#define TENSORQUANT_ONNX_TORCH_OPERATORS_OPERATORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>

#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::onnx_torch {

// How the function of a node is made; an Error gives the reason why it cannot be.
using Maker = Function (*)(const NodeView&);
struct Operator {
  Maker make;
  // How many inputs it takes. The first `least` are there, the others may be left out; of an
  // operator that takes any number all are there.
  std::size_t least, most;
  bool takes_16_bits = false;  // it computes nothing, or knows of them
};
constexpr std::size_t kAnyNumber = SIZE_MAX;

using Operators = std::map<std::string_view, Operator>;  // by name

// The operators of the standard's domain, by kind.
Operators arithmetic_operators();
Operators activation_operators();
Operators conversion_operators();
Operators movement_operators();
Operators creation_operators();
Operators selection_operators();
Operators reduction_operators();
Operators window_operators();  // convolutions
Operators pool_operators();
Operators resize_operators();  // and sampling
Operators product_operators();
Operators attention_operators();
Operators recurrent_operators();
Operators normalization_operators();
Operators quantization_operators();
Operators integer_product_operators();
// Those of ONNX Runtime on codes.
Operators microsoft_operators();
// Those of QONNX, whose domain has several names.
Operators qonnx_operators();

// Null for an operator that is not there.
const Operator* find_operator(std::string_view domain, std::string_view op_type);

// What the node computes. Error unless it has the inputs that the operator needs, not more than it
// takes, and an output. Of numbers of 16 bits it computes in float32 and rounds each result once,
// for libtorch lacks most operators of such numbers.
Function make_function(const Operator& op, const NodeView& node);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_OPERATORS_OPERATORS_H_
