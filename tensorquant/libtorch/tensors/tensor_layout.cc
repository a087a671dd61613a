#include "tensorquant/libtorch/tensors/tensor_layout.h"

#include <algorithm>
#include <cstddef>

namespace tensorquant {
namespace {

Axis axis_of(at::IntArrayRef sizes, int axis) {
  const int last = static_cast<int>(sizes.size()) - 1;
  const int place = axis < 0 ? std::max(0, axis + last + 1) : std::min(axis, last);
  Axis result;
  for (int i = 0; i <= last; ++i) {
    const auto size = static_cast<std::size_t>(sizes[static_cast<std::size_t>(i)]);
    (i < place ? result.outer : i == place ? result.length : result.inner) *= size;
  }
  return result;
}

}  // namespace

Layout layout_of(at::IntArrayRef sizes, TensorAxes axes) {
  return {.channel = axis_of(sizes, axes.channel), .reduction = axis_of(sizes, axes.reduction)};
}

}  // namespace tensorquant
