#include "tensorquant/base/parallel.h"

#include <omp.h>

#include <algorithm>

namespace tensorquant {
namespace {

// Waking another thread costs as much as quantizing some ten thousand elements.
constexpr std::size_t kSerialCount = 32768;

}  // namespace

void parallel_for(std::size_t count, std::size_t block,
                  const std::function<void(std::size_t begin, std::size_t end)>& body) {
  const int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
  if (count < kSerialCount || threads == 1) {
    if (count > 0) body(0, count);
    return;
  }
  const std::size_t blocks = (count + block - 1) / block;
  const std::size_t chunk = (blocks + threads - 1) / threads * block;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int i = 0; i < threads; ++i) {
    const std::size_t begin = std::min(count, i * chunk);
    const std::size_t end = std::min(count, begin + chunk);
    if (begin < end) body(begin, end);
  }
}

}  // namespace tensorquant
