#ifndef TENSORQUANT_ONNX_TORCH_OPERATORS_OPAQUE_QUANTIZER_H_
#define TENSORQUANT_ONNX_TORCH_OPERATORS_OPAQUE_QUANTIZER_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::onnx_torch {

// Whether the node is one that `export --opaque` writes: see onnx::kOpaqueOperator.
bool is_opaque_quantizer(const onnx::Node& node);

// What it does. Random rounding is that of the step which `step` holds in a call. Error as of
// make_quantizer().
Function opaque_quantizer(const NodeView& node,
                          std::shared_ptr<const std::atomic<std::uint32_t>> step);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_OPERATORS_OPAQUE_QUANTIZER_H_
