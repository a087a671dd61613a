#include "tensorquant/onnx_torch/operators/operators.h"

namespace tensorquant::onnx_torch {
namespace {

Makers all_operators() {
  Makers all;
  for (const auto& list :
       {elementwise_operators, movement_operators, reduction_operators, window_operators,
        product_operators, normalization_operators, quantization_operators}) {
    all.merge(list());
  }
  return all;
}

}  // namespace

Maker find_operator(std::string_view domain, std::string_view op_type) {
  static const Makers standard = all_operators(), qonnx = qonnx_operators();
  const bool is_qonnx = domain == "qonnx.custom_op.general" || domain == "onnx.brevitas" ||
                        domain == "finn.custom_op.general";
  if (!domain.empty() && !is_qonnx) return nullptr;
  const Makers& operators = is_qonnx ? qonnx : standard;
  const auto found = operators.find(op_type);
  return found == operators.end() ? nullptr : found->second;
}

}  // namespace tensorquant::onnx_torch
