#ifndef TENSORQUANT_KERNELS_PART_H_
#define TENSORQUANT_KERNELS_PART_H_

#include <cstddef>
#include <span>

#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {

// Consecutive elements of a tensor, the work of one thread.
template <class T>
struct Part {
  const T* in;
  T* out;
  std::size_t count;
  std::size_t first;  // index of in[0] in its tensor, a multiple of kPartBlock
};

// A multiple of the random tiles (128) and of the blocks of the ternary sum (1024).
inline constexpr std::size_t kPartBlock = 1024;

// Calls kernel(part) for parts that together are the tensor, on several threads, with subnormals
// kept. `out` may be empty.
template <class T, class Kernel>
void for_each_part(std::span<const T> in, std::span<T> out, const Kernel& kernel) {
  parallel_for(in.size(), kPartBlock, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    T* const to = out.empty() ? nullptr : out.data() + begin;
    kernel(Part<T>{in.data() + begin, to, end - begin, begin});
  });
}

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_PART_H_
