#ifndef TENSORQUANT_ONNX_NAMES_AXES_H_
#define TENSORQUANT_ONNX_NAMES_AXES_H_

#include <cstddef>
#include <string_view>

#include "tensorquant/onnx/names/layers.h"

namespace tensorquant::onnx {

// What the axes of a layer's tensors mean. Negative ones count from behind the last.
struct WeightAxes {
  int channel = 0;    // that of the results
  int reduction = 1;  // what their sums of products run over
  // Of a matrix (inputs, outputs): random rounding counts its elements as those of (outputs,
  // inputs), which is how all other front-ends keep it.
  bool is_turned = false;
};

// Of the first, second, ... of `layer.weights`, if it has two axes or more.
WeightAxes weight_axes(const Layer& layer, std::size_t weight);
// Of a bias, which may have axes of length 1 in front.
inline constexpr WeightAxes kBiasAxes = {-1, -1};

// The axis of the channels in what the layer gives.
int output_axis(const Layer& layer);

// LSTM, GRU and RNN.
bool is_recurrent(std::string_view op_type);

// How many of its outputs rules hit: the first, of LSTM and the like all.
std::size_t quantized_outputs(const Layer& layer);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_NAMES_AXES_H_
