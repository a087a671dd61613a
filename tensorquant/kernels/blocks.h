#ifndef TENSORQUANT_KERNELS_BLOCKS_H_
#define TENSORQUANT_KERNELS_BLOCKS_H_

#include <cstddef>

#include "tensorquant/formats/scaled.h"
#include "tensorquant/kernels/stores.h"

namespace tensorquant {

// Groups of a tensor with consecutive numbers: one behind the other, or side by side.
template <class T>
struct Blocks {
  const T* in;
  T* out;
  std::size_t groups;
  std::size_t length;  // of a group
  std::size_t stride;  // between the elements of a group; 1: groups are one behind the other
  Stores stores;
  std::size_t next = 0;  // from `in` to the groups side by side that are read after these; or 0
};

// Floats and fixed point, ties to even and saturating, with a power of two a group: largest
// magnitudes, scales and rounding in one pass. Does the first of the groups and returns how many;
// it stops, perhaps before the first, where there is something unusual: numbers that are not
// finite, scales or steps near the ends of T's range, lengths that are no whole vectors.
std::size_t quantize_blocks(const ElementFormat& element, const PowerOfTwoRule& rule,
                            const Blocks<float>& blocks);
std::size_t quantize_blocks(const ElementFormat& element, const PowerOfTwoRule& rule,
                            const Blocks<double>& blocks);

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_BLOCKS_H_
