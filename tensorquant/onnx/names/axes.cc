#include "tensorquant/onnx/names/axes.h"

#include <algorithm>
#include <unordered_set>

namespace tensorquant::onnx {
namespace {

// Whose results have their channels last; those of all others have them behind the batch.
const std::unordered_set<std::string_view> kChannelsLast = {
    "MatMul", "Gemm",    "LayerNormalization", "RMSNormalization", "Gather",   "LSTM", "GRU",
    "RNN",    "Softmax", "LogSoftmax",         "Einsum",           "Attention"};

bool is_set(const Node& node, std::string_view name) {
  const Attribute* attribute = find_attribute(node, name);
  return attribute != nullptr && attribute->i != 0;
}

}  // namespace

bool is_recurrent(std::string_view op_type) {
  return op_type == "LSTM" || op_type == "GRU" || op_type == "RNN";
}

WeightAxes weight_axes(const Layer& layer, std::size_t weight) {
  const Node& node = *layer.node;
  const bool is_left = layer.weight_inputs[weight] == 0;
  if (node.op_type == "ConvTranspose") return {1, 0};
  // (..., rows, taps) on the left and (..., taps, columns) on the right.
  if (node.op_type == "MatMul") {
    return is_left ? WeightAxes{-2, -1} : WeightAxes{-1, -2, /*is_turned=*/true};
  }
  if (node.op_type == "Gemm") {
    const bool has_outputs_last = is_left == is_set(node, is_left ? "transA" : "transB");
    return has_outputs_last ? WeightAxes{1, 0, /*is_turned=*/true} : WeightAxes{0, 1};
  }
  if (is_recurrent(node.op_type)) return {1, 2};  // (directions, outputs, inputs)
  return {0, 1};
}

int output_axis(const Layer& layer) {
  return layer.node->domain.empty() && kChannelsLast.contains(layer.node->op_type) ? -1 : 1;
}

std::size_t quantized_outputs(const Layer& layer) {
  const Node& last = layer.bias_node != nullptr ? *layer.bias_node : *layer.node;
  const bool all = is_recurrent(layer.node->op_type) || layer.role == Layer::Role::moves;
  return all ? last.outputs.size() : std::min<std::size_t>(last.outputs.size(), 1);
}

}  // namespace tensorquant::onnx
