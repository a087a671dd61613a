#include "tensorquant/onnx/names/axes.h"

#include <string_view>
#include <unordered_set>

namespace tensorquant::onnx {
namespace {

// Whose results have their channels last; those of all others have them behind the batch.
const std::unordered_set<std::string_view> kChannelsLast = {
    "MatMul", "Gemm",    "LayerNormalization", "RMSNormalization", "Gather",   "LSTM", "GRU",
    "RNN",    "Softmax", "LogSoftmax",         "Einsum",           "Attention"};

bool is_turned(const Node& node, std::string_view name) {
  const Attribute* turned = find_attribute(node, name);
  return turned != nullptr && turned->i != 0;
}

}  // namespace

WeightAxes weight_axes(const Layer& layer, std::size_t weight) {
  const Node& node = *layer.node;
  const bool is_left = layer.weight_inputs[weight] == 0;
  if (node.op_type == "ConvTranspose") return {1, 0};
  // (..., rows, taps) on the left and (..., taps, columns) on the right.
  if (node.op_type == "MatMul") return is_left ? WeightAxes{-2, -1} : WeightAxes{-1, -2};
  if (node.op_type == "Gemm") {
    const bool swapped = is_turned(node, is_left ? "transA" : "transB");
    return is_left == swapped ? WeightAxes{1, 0} : WeightAxes{0, 1};
  }
  // (directions, outputs, inputs)
  if (node.op_type == "LSTM" || node.op_type == "GRU" || node.op_type == "RNN") return {1, 2};
  return {0, 1};
}

int output_axis(const Layer& layer) {
  return layer.node->domain.empty() && kChannelsLast.contains(layer.node->op_type) ? -1 : 1;
}

}  // namespace tensorquant::onnx
