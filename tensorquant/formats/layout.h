#ifndef TENSORQUANT_FORMATS_LAYOUT_H_
#define TENSORQUANT_FORMATS_LAYOUT_H_

#include <cstddef>

namespace tensorquant {

// An axis of a tensor in C order: element k of it lies at (o * length + k) * inner + i, for each o
// of the axes before it and each i of the `inner` positions behind it. Neighbouring axes may be
// merged into one.
struct Axis {
  std::size_t outer = 1;
  std::size_t length = 1;
  std::size_t inner = 1;
  bool operator==(const Axis&) const = default;
};

// Axes [begin, end) of a tensor of these sizes as one; without any it is of length 1.
template <class Sizes>
Axis axis_of(const Sizes& sizes, std::size_t begin, std::size_t end) {
  Axis axis;
  std::size_t i = 0;
  for (const auto size : sizes) {
    (i < begin ? axis.outer : i < end ? axis.length : axis.inner) *= static_cast<std::size_t>(size);
    ++i;
  }
  return axis;
}

// What a tensor's axes mean, which only the layer that it belongs to knows.
struct Layout {
  Axis channel;    // of outputs, for a weight
  Axis reduction;  // that a dot product sums over
  bool operator==(const Layout&) const = default;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_LAYOUT_H_
