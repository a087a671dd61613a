#include "tensorquant/onnx_torch/operators/operators.h"

#include <string>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx_torch {
namespace {

Operators all_operators() {
  Operators all;
  for (const auto& list : {elementwise_operators, movement_operators, reduction_operators,
                           window_operators, product_operators, normalization_operators,
                           quantization_operators, integer_product_operators}) {
    all.merge(list());
  }
  return all;
}

}  // namespace

void check_inputs_and_outputs(const Operator& op, const NodeView& node) {
  const std::size_t count = node.input_count();
  if (count < op.least || count > op.most) {
    const std::string range = op.most == kAnyNumber ? std::to_string(op.least) + " or more"
                              : op.most == op.least
                                  ? std::to_string(op.least)
                                  : std::to_string(op.least) + " to " + std::to_string(op.most);
    throw Error("expected " + range + " inputs, found " + std::to_string(count));
  }
  const std::size_t needed = op.most == kAnyNumber ? count : op.least;
  for (std::size_t i = 0; i < needed; ++i) {
    if (!node.has_input(i)) throw Error("its input " + std::to_string(i) + " is left out");
  }
  if (node.output_count() == 0) throw Error("it has no output");
}

const Operator* find_operator(std::string_view domain, std::string_view op_type) {
  static const Operators standard = all_operators(), qonnx = qonnx_operators(),
                         microsoft = microsoft_operators();
  static const std::map<std::string_view, const Operators&> domains = {
      {"", standard},
      {"qonnx.custom_op.general", qonnx},
      {"onnx.brevitas", qonnx},
      {"finn.custom_op.general", qonnx},
      {"com.microsoft", microsoft}};
  const auto operators = domains.find(domain);
  if (operators == domains.end()) return nullptr;
  const auto found = operators->second.find(op_type);
  return found == operators->second.end() ? nullptr : &found->second;
}

}  // namespace tensorquant::onnx_torch
