#include "tensorquant/onnx/names/product_counts.h"

#include <cstddef>
#include <functional>
#include <numeric>

#include "tensorquant/onnx/names/axes.h"

namespace tensorquant::onnx {
namespace {

using Sizes = std::span<const std::int64_t>;

std::int64_t product(Sizes sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

// Of weights (inputs, outputs / groups, kernel...): an output meets every stride-th tap.
ProductCounts of_transposed_convolution(const Node& node, Sizes weight) {
  const Attribute* const group = find_attribute(node, "group");
  const Attribute* const strides = find_attribute(node, "strides");
  ProductCounts counts = {weight[0] / (group == nullptr ? 1 : group->i),
                          product(weight.subspan(1))};
  for (std::size_t axis = 0; axis + 2 < weight.size(); ++axis) {
    const bool is_told = strides != nullptr && axis < strides->ints.size();
    const std::int64_t stride = is_told ? strides->ints[axis] : 1;
    counts.terms *= (weight[axis + 2] + stride - 1) / stride;
  }
  return counts;
}

}  // namespace

ProductCounts product_counts(const Layer& layer, Sizes weight) {
  if (layer.weights.empty() || weight.empty() || !layer.node->domain.empty()) return {};
  const std::string& type = layer.node->op_type;
  if (type == "Conv") return {product(weight.subspan(1))};
  if (type == "ConvTranspose" && weight.size() >= 2) {
    return of_transposed_convolution(*layer.node, weight);
  }
  if (type != "MatMul" && type != "Gemm") return {};
  if (weight.size() == 1) return {weight[0]};
  const int axis = weight_axes(layer, 0).reduction;
  return {weight[axis < 0 ? weight.size() - static_cast<std::size_t>(-axis)
                          : static_cast<std::size_t>(axis)]};
}

}  // namespace tensorquant::onnx
