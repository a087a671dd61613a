#include "tensorquant/onnx_torch/operators/opaque_quantizer.h"

#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/tensors/tensor_layout.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"
#include "tensorquant/onnx/export/quantizer_nodes.h"

namespace tensorquant::onnx_torch {

bool is_opaque_quantizer(const onnx::Node& node) {
  return node.domain == onnx::kFunctionDomain && node.op_type == onnx::kOpaqueOperator;
}

Function opaque_quantizer(const NodeView& node,
                          std::shared_ptr<const std::atomic<std::uint32_t>> step) {
  if (node.input_count() != 1 || !node.has_input(0)) throw Error("expected one input");
  const std::shared_ptr<const Quantizer> quantizer = make_quantizer(node.text("quantizer", ""));
  const auto axis = static_cast<int>(node.integer("axis", 1));
  Context context;
  context.seed = static_cast<std::uint64_t>(node.integer("seed", 0));
  context.stream = static_cast<std::uint32_t>(node.integer("stream", 0));
  return [=](Tensors in) {
    Context call = context;
    call.step = *step;
    call.layout = layout_of(in[0].sizes(), {.channel = axis, .reduction = axis});
    return Tensors{quantize_consuming(std::move(in[0]), quantizer, call)};
  };
}

}  // namespace tensorquant::onnx_torch
