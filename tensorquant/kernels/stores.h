#ifndef TENSORQUANT_KERNELS_STORES_H_
#define TENSORQUANT_KERNELS_STORES_H_

#include <cstddef>

namespace tensorquant {

// How a kernel writes its output.
enum class Stores {
  cached,     // through the caches, where the next reader finds it
  streaming,  // past them (non-temporal), which saves reading the output's old contents first
};

// The faster one for an output of `bytes`: streaming, where it would push its own beginning out of
// the last-level cache and is not the input, which is there already.
Stores choose_stores(std::size_t bytes, bool in_place);

// Makes the kernels of the whole process write in one way while it lives: for tests and benchmarks.
class ScopedStores {
 public:
  explicit ScopedStores(Stores stores);
  ~ScopedStores();
  ScopedStores(const ScopedStores&) = delete;
  ScopedStores& operator=(const ScopedStores&) = delete;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_STORES_H_
