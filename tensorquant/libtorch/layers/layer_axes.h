#ifndef TENSORQUANT_LIBTORCH_LAYERS_LAYER_AXES_H_
#define TENSORQUANT_LIBTORCH_LAYERS_LAYER_AXES_H_

#include "tensorquant/libtorch/tensors/tensor_layout.h"

namespace tensorquant {

// The axes of a layer's parameters, [out, in, ...] unless specialised.
template <class Impl>
inline constexpr TensorAxes weight_axes_v = {.channel = 0, .reduction = 1};

// The axis of the channels in a layer's outputs, along which the next layer's dot products run as
// well: [n, c, ...] unless specialised.
template <class Impl>
inline constexpr int output_axis_v = 1;

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_LAYERS_LAYER_AXES_H_
