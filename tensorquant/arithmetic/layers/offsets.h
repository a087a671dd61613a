#ifndef TENSORQUANT_ARITHMETIC_LAYERS_OFFSETS_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_OFFSETS_H_

// Where the numbers of tensors in C order lie, for SumsOfProducts.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tensorquant {

// The offsets of all points of a box in C order, which lie steps[d] apart in dimension d of a
// buffer with these strides. Steps to points that there are not may be of any size.
std::vector<std::int64_t> points(const std::vector<std::int64_t>& box,
                                 const std::vector<std::int64_t>& steps,
                                 const std::vector<std::int64_t>& strides);

// 0, step, 2 step ...
std::vector<std::int64_t> multiples(std::int64_t count, std::int64_t step);

// A list of lists: every a plus every b, a first.
std::vector<std::int64_t> sums_of(const std::vector<std::int64_t>& a,
                                  const std::vector<std::int64_t>& b);

// Of a buffer of these sizes.
std::vector<std::int64_t> strides_of(const std::vector<std::int64_t>& sizes);

template <class T>
std::span<const T> span_of(const T* data, std::int64_t count) {
  return {data, static_cast<std::size_t>(count)};
}

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_OFFSETS_H_
