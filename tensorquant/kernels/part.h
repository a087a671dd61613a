#ifndef TENSORQUANT_KERNELS_PART_H_
#define TENSORQUANT_KERNELS_PART_H_

#include <cstddef>
#include <span>

#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/stores.h"

namespace tensorquant {

// Consecutive elements of a tensor, the work of one thread.
template <class T>
struct Part {
  const T* in;
  T* out;
  std::size_t count;
  std::size_t first;  // index of in[0] in its tensor, a multiple of kPartBlock
  Stores stores;
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
