#include "tensorquant/onnx_torch/operators/operators.h"

namespace tensorquant::onnx_torch {
namespace {

Makers all_operators() {
  Makers all;
  for (const auto& list : {elementwise_operators, movement_operators, reduction_operators,
                           window_operators, product_operators, normalization_operators}) {
    all.merge(list());
  }
  return all;
}

}  // namespace

Maker find_operator(std::string_view domain, std::string_view op_type) {
  static const Makers all = all_operators();
  if (!domain.empty()) return nullptr;
  const auto found = all.find(op_type);
  return found == all.end() ? nullptr : found->second;
}

}  // namespace tensorquant::onnx_torch
