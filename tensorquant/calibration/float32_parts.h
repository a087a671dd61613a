#ifndef TENSORQUANT_CALIBRATION_FLOAT32_PARTS_H_
#define TENSORQUANT_CALIBRATION_FLOAT32_PARTS_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <span>

#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {

inline constexpr std::uint32_t kMagnitude = 0x7FFFFFFF;
inline constexpr std::uint32_t kInfinity = 0x7F800000;  // magnitudes above it are NaN

// Calibration looks at numbers as float32, whatever a model computes in: a scale needs no more than
// that, and float64 then has the counters of float32. Numbers are rounded to nearest; finite ones
// beyond float32 stay finite, as its largest.
inline float to_float32(double x) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::isfinite(x) ? std::clamp(x, -kLargest, kLargest) : x);
}

// So few elements stay in the fastest cache from one loop over them to the next.
inline constexpr std::size_t kChunk = 4096;

// Calls count(chunk) for spans of kChunk elements at most.
template <class Count>
void for_each_chunk(std::span<const float> values, const Count& count) {
  for (; !values.empty(); values = values.subspan(std::min(kChunk, values.size()))) {
    count(values.first(std::min(kChunk, values.size())));
  }
}
template <class Count>
void for_each_chunk(std::span<const double> values, const Count& count) {
  std::array<float, kChunk> converted;
  for (; !values.empty(); values = values.subspan(std::min(kChunk, values.size()))) {
    const auto chunk = values.first(std::min(kChunk, values.size()));
    std::transform(chunk.begin(), chunk.end(), converted.begin(), to_float32);
    count(std::span<const float>(converted.data(), chunk.size()));
  }
}

// Adds values to `sum`, on several threads where there are more than `block` of them: each adds to
// an empty() sum of its own, which is merged. count(sum, chunk) adds a chunk to a sum.
template <class T, class Sum, class Empty, class Count>
void add_in_parts(std::span<const T> values, std::size_t block, Sum& sum, const Empty& empty,
                  const Count& count) {
  std::mutex merging;
  parallel_for(values.size(), block, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    const auto add_to = [&](Sum& part) {
      for_each_chunk(values.subspan(begin, end - begin),
                     [&](std::span<const float> chunk) { count(part, chunk); });
    };
    if (end - begin == values.size()) return add_to(sum);
    Sum part = empty();
    add_to(part);
    const std::lock_guard lock(merging);
    sum.merge(part);
  });
}

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_FLOAT32_PARTS_H_
