#include "tensorquant/onnx_torch/operators/operators.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <string>
#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx_torch {
namespace {

Operators all_operators() {
  Operators all;
  for (const auto& list :
       {conversion_operators, movement_operators, creation_operators, selection_operators,
        quantization_operators, integer_product_operators}) {
    for (auto& [name, op] : list()) all.insert({name, op}).first->second.takes_16_bits = true;
  }
  for (const auto& list : {arithmetic_operators, activation_operators, reduction_operators,
                           window_operators, pool_operators, resize_operators, product_operators,
                           attention_operators, recurrent_operators, normalization_operators}) {
    all.merge(list());
  }
  return all;
}

bool has_16_bits(const at::Tensor& x) {
  return x.defined() && (x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16);
}

Tensors compute_in_32_bits(const Function& function, Tensors in, at::ScalarType type) {
  for (at::Tensor& x : in) {
    if (has_16_bits(x)) x = x.to(at::kFloat);
  }
  Tensors results = function(std::move(in));
  for (at::Tensor& x : results) {
    if (x.defined() && x.scalar_type() == at::kFloat) x = x.to(type);
  }
  return results;
}

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

}  // namespace

Function make_function(const Operator& op, const NodeView& node) {
  check_inputs_and_outputs(op, node);
  if (op.takes_16_bits) return op.make(node);
  return [function = op.make(node)](Tensors in) {
    const auto narrow = std::find_if(in.begin(), in.end(), has_16_bits);
    if (narrow == in.end()) return function(std::move(in));
    const at::ScalarType type = narrow->scalar_type();
    return compute_in_32_bits(function, std::move(in), type);
  };
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
