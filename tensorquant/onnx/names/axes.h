#ifndef TENSORQUANT_ONNX_NAMES_AXES_H_
#define TENSORQUANT_ONNX_NAMES_AXES_H_

#include <cstddef>

#include "tensorquant/onnx/names/layers.h"

namespace tensorquant::onnx {

// What the axes of a layer's tensors mean. Negative ones count from behind the last.
struct WeightAxes {
  int channel = 0;    // that of the results
  int reduction = 1;  // what their sums of products run over
};

// Of the first, second, ... of `layer.weights`, if it has two axes or more.
WeightAxes weight_axes(const Layer& layer, std::size_t weight);

// The axis of the channels in what the layer gives.
int output_axis(const Layer& layer);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_NAMES_AXES_H_
