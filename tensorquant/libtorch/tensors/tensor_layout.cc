#include "tensorquant/libtorch/tensors/tensor_layout.h"

#include <algorithm>
#include <cstddef>

namespace tensorquant {
namespace {

Axis nearest_axis(at::IntArrayRef sizes, int axis) {
  const int last = static_cast<int>(sizes.size()) - 1;
  const int place = axis < 0 ? std::max(0, axis + last + 1) : std::max(0, std::min(axis, last));
  return axis_of(sizes, static_cast<std::size_t>(place), static_cast<std::size_t>(place) + 1);
}

}  // namespace

Layout layout_of(at::IntArrayRef sizes, TensorAxes axes) {
  return {.channel = nearest_axis(sizes, axes.channel),
          .reduction = nearest_axis(sizes, axes.reduction)};
}

}  // namespace tensorquant
