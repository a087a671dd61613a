#ifndef TENSORQUANT_ONNX_NAMES_INTEGER_FACTORS_H_
#define TENSORQUANT_ONNX_NAMES_INTEGER_FACTORS_H_

#include "tensorquant/onnx/graph/graph.h"
#include "tensorquant/onnx/names/values.h"

namespace tensorquant::onnx {

// Whether the node is a Conv, Gemm or MatMul whose two factors are integers times constant scales:
// results of DequantizeLinear, or of QONNX's Quant or IntQuant. The first factor has one scale, the
// second one or one for each output. Its sums can be exact, whatever their order.
bool has_integer_factors(const Graph& graph, const ValueFacts& facts, const Node& node);

// Of such a node: which axis of the second factor the outputs lie along, of so many.
std::int64_t output_axis_of_weight(const Node& node, std::int64_t rank);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_NAMES_INTEGER_FACTORS_H_
