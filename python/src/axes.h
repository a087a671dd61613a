#ifndef TENSORQUANT_PYTHON_SRC_AXES_H_
#define TENSORQUANT_PYTHON_SRC_AXES_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "tensorquant/formats/layout.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant::python {

// tensorquant.numbers.context.Axes: begin and end of the channel axes, begin and end of those that
// a dot product sums over. Neighbours are taken as one axis. A negative begin counts both from the
// tensor's last axis on, (-1, 0) is the last; an empty range is an axis of length 1; an end below
// its begin says that nobody knows.
using Axes = std::array<std::int64_t, 4>;

// Axes [begin, end) of a tensor.
struct AxisRange {
  std::int64_t begin, end;
};
// Those of a tensor of so many axes; nothing for what is not known. Throws an Error where the
// tensor has no such axes.
struct AxisRanges {
  std::optional<AxisRange> channel, reduction;
};
AxisRanges ranges_of(const Axes& axes, std::size_t rank);

// What they mean in a tensor of a shape; nothing where neither is known. Where one is, an unknown
// channel axis is of length 1 and an unknown reduction axis the whole tensor. Throws an Error where
// the tensor has no such axes.
std::optional<Layout> layout_of(const Axes& axes, std::span<const std::int64_t> sizes);

// Whether the quantizer has a scale for each channel, which it cannot guess.
bool needs_channels(const Quantizer& quantizer);

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_AXES_H_
