#include "tensorquant/onnx/names/integer_factors.h"

#include <optional>
#include <string_view>
#include <vector>

namespace tensorquant::onnx {
namespace {

using Sizes = std::vector<std::int64_t>;

const Value& value_of(const Graph& graph, ValueId id) {
  return graph.values[static_cast<std::size_t>(id)];
}

std::int64_t integer(const Node& node, std::string_view name, std::int64_t otherwise) {
  const Attribute* found = find_attribute(node, name);
  return found != nullptr ? found->i : otherwise;
}

float number(const Node& node, std::string_view name) {
  const Attribute* found = find_attribute(node, name);
  return found != nullptr ? found->f : 1;
}

// The scale of what makes integers times constant scales; else null.
const Tensor* scale_of(const Graph& graph, const ValueFacts& facts, ValueId id) {
  const Node* maker = ValueFacts::of(facts.maker, id);
  if (maker == nullptr || maker->inputs.size() < 2) return nullptr;
  const bool is_standard = maker->domain.empty() && maker->op_type == "DequantizeLinear" &&
                           integer(*maker, "block_size", 0) == 0 &&
                           !is_floating_point(ValueFacts::of(facts.type, maker->inputs[0]));
  const bool is_qonnx =
      !maker->domain.empty() && (maker->op_type == "Quant" || maker->op_type == "IntQuant");
  if (!is_standard && !is_qonnx) return nullptr;
  const auto& scale = value_of(graph, maker->inputs[1]).constant;
  return scale != nullptr && scale->type == DataType::f32 ? scale.get() : nullptr;
}

// The axes of a maker's result, of a rank, along which its scales differ.
Sizes axes_of_scale(const Node& maker, const Tensor& scale, std::int64_t rank) {
  if (maker.op_type == "DequantizeLinear") {
    const std::int64_t axis = integer(maker, "axis", 1);
    return Sizes{axis < 0 ? axis + rank : axis};
  }
  Sizes axes;
  for (std::size_t i = 0; i < scale.dims.size(); ++i) {
    const auto from_end = static_cast<std::int64_t>(scale.dims.size() - i);
    if (scale.dims[i] != 1) axes.push_back(rank - from_end);
  }
  return axes;
}

std::optional<std::int64_t> rank_of(const Value& value) {
  if (value.constant != nullptr) return static_cast<std::int64_t>(value.constant->dims.size());
  if (!value.type || !value.type->shape) return std::nullopt;
  return static_cast<std::int64_t>(value.type->shape->size());
}

bool is_plain_product(const Node& node) {
  if (!node.domain.empty() || node.inputs.size() < 2) return false;
  if (node.op_type == "Gemm") return number(node, "alpha") == 1 && number(node, "beta") == 1;
  return node.op_type == "Conv" || node.op_type == "MatMul";
}

}  // namespace

std::int64_t output_axis_of_weight(const Node& node, std::int64_t rank) {
  const bool first =
      node.op_type == "Conv" || (node.op_type == "Gemm" && integer(node, "transB", 0) != 0);
  return first ? 0 : rank - 1;
}

bool has_integer_factors(const Graph& graph, const ValueFacts& facts, const Node& node) {
  if (!is_plain_product(node)) return false;
  const ValueId x = node.inputs[0], w = node.inputs[1];
  if (x == kNoValue || w == kNoValue) return false;
  const Tensor *x_scale = scale_of(graph, facts, x), *w_scale = scale_of(graph, facts, w);
  if (x_scale == nullptr || w_scale == nullptr || element_count(x_scale->dims) != 1) return false;
  if (element_count(w_scale->dims) == 1) return true;
  // The maker keeps the shape of what it reads.
  const Node& maker = *ValueFacts::of(facts.maker, w);
  const std::optional<std::int64_t> rank = rank_of(value_of(graph, maker.inputs[0]));
  return rank && *rank >= 2 &&
         axes_of_scale(maker, *w_scale, *rank) == Sizes{output_axis_of_weight(node, *rank)};
}

}  // namespace tensorquant::onnx
