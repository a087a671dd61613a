#ifndef TENSORQUANT_KERNELS_PART_H_
#define TENSORQUANT_KERNELS_PART_H_

#include <cstddef>
#include <span>

#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/stores.h"

namespace tensorquant {

// What a Scaled puts around its element format: out = behind * element(t), where t is x * before or
// x / before, clamped where there are limits. `run` elements, one behind the other, share one
// number of each array; the last of them may be fewer.
template <class T>
struct PartScales {
  const T* before;
  const T* behind;
  const T* lowest = nullptr;  // integers; both or neither
  const T* highest = nullptr;
  std::size_t run = 1;
  bool multiplies = false;
  // NaN stays as it is; else it becomes the quiet one.
  bool keeps_nan = true;
  // Infinite products of finite numbers become the largest number.
  bool may_overflow = false;
  // The part is so many rows of part.count elements, all with these scales, which begin so far
  // apart.
  std::size_t rows = 1;
  std::size_t stride = 0;

  // Without the first `count` numbers of each array.
  PartScales behind_first(std::size_t count) const {
    PartScales rest = *this;
    rest.before += count;
    rest.behind += count;
    if (lowest != nullptr) rest.lowest += count;
    if (highest != nullptr) rest.highest += count;
    return rest;
  }
};

// Consecutive elements of a tensor, the work of one thread.
template <class T>
struct Part {
  const T* in;
  T* out;
  std::size_t count;
  std::size_t first;  // index of in[0] in its tensor, a multiple of kPartBlock
  Stores stores;
  const PartScales<T>* scales = nullptr;  // not where rounding is random
};

// A multiple of two random tiles (256) and of the blocks of the ternary sum (1024).
inline constexpr std::size_t kPartBlock = 1024;

// In place, parts are as long as this and go from the tensor's end to its beginning: what a layer
// wrote last is still in the cache then, and what the next layer reads first will be. Shorter ones
// lose time at their beginnings, where the processor does not yet fetch ahead.
inline constexpr std::size_t kInPlacePart = 256 * kPartBlock;

// Calls kernel(part) for parts that together are the tensor, on several threads, with subnormals
// kept. `out` may be empty.
template <class T, class Kernel>
void for_each_part(std::span<const T> in, std::span<T> out, const Kernel& kernel) {
  const bool in_place = in.data() == out.data();
  const Stores stores = choose_stores(out.size_bytes(), in_place);
  parallel_for(in.size(), kPartBlock, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    const std::size_t length = in_place ? kInPlacePart : end - begin;
    for (std::size_t left = end - begin; left > 0;) {
      const std::size_t count = (left - 1) % length + 1;  // the short part, if any, is the last
      left -= count;
      const std::size_t first = begin + left;
      kernel(Part<T>{in.data() + first, out.empty() ? nullptr : out.data() + first, count, first,
                     stores});
    }
  });
}

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_PART_H_
