#ifndef TENSORQUANT_BASE_PARALLEL_H_
#define TENSORQUANT_BASE_PARALLEL_H_

#include <cstddef>
#include <functional>

namespace tensorquant {

// Calls body(begin, end) for ranges that together are [0, count), each but the last a multiple of
// `block` long: on several OpenMP threads where the work is worth it, else in one call. The body
// must not throw.
void parallel_for(std::size_t count, std::size_t block,
                  const std::function<void(std::size_t begin, std::size_t end)>& body);

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_PARALLEL_H_
