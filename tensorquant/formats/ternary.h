#ifndef TENSORQUANT_FORMATS_TERNARY_H_
#define TENSORQUANT_FORMATS_TERNARY_H_

#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>

#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/context.h"
#include "tensorquant/formats/facts.h"

namespace tensorquant {

// Three values: +magnitude above a threshold, -magnitude below its negative, else +0. Without a
// threshold each tensor gets its own, 0.7 times its mean magnitude: F. Li, B. Zhang, B. Liu,
// "Ternary weight networks", arXiv:1605.04711.
struct Ternary {
  double magnitude = 1;                   // rounded to the tensor's type; finite and > 0 there
  std::optional<double> threshold = {};   // rounded to the tensor's type; finite and >= 0 there
  static constexpr bool is_grid = false;  // see GridFormat
  bool operator==(const Ternary&) const = default;
};

template <class T>
Bounds<T> bounds(const Ternary& format) {
  const T magnitude = static_cast<T>(format.magnitude);
  return {-magnitude, magnitude};
}

// Elements of a block are added up in kSumLanes lanes, then the lanes, then the blocks, each in
// order: so the sum of a tensor has the same bits however many threads and SIMD lanes compute it.
inline constexpr std::size_t kSumBlock = 1024;
inline constexpr std::size_t kSumLanes = 16;

// The sum of the magnitudes of those finite elements above a threshold, and how many they are.
struct MagnitudeSum {
  double sum;
  double count;
};

// Each addition rounded to double. The elements are multiplied by a power of two, `scale`, first.
template <class T>
MagnitudeSum magnitude_sum_reference(std::span<const T> x, double threshold, double scale = 1) {
  MagnitudeSum total = {0, 0};
  for (std::size_t begin = 0; begin < x.size(); begin += kSumBlock) {
    std::array<double, kSumLanes> lanes = {};
    for (std::size_t i = 0; i < kSumBlock && begin + i < x.size(); ++i) {
      const double magnitude = std::abs(static_cast<double>(x[begin + i]));
      if (!std::isfinite(magnitude) || !(magnitude > threshold)) continue;
      lanes[i % kSumLanes] += magnitude * scale;
      ++total.count;
    }
    double block = 0;
    for (double lane : lanes) block += lane;
    total.sum += block;
  }
  return total;
}

// `factor` times the mean magnitude of the finite elements above a threshold: (factor * sum) /
// count, each operation rounded to double, subnormals as well; 0 if there are none. A sum beyond
// double's range is that of the elements times 2^-64, which brings every sum into it; the quotient
// is scaled back.
template <class T>
double mean_magnitude_reference(std::span<const T> x, double factor, double threshold = -1) {
  double scale = 1;
  MagnitudeSum total = magnitude_sum_reference(x, threshold, scale);
  if (std::isinf(total.sum)) {
    scale = 0x1p-64;
    total = magnitude_sum_reference(x, threshold, scale);
  }
  return total.count == 0 ? 0 : factor * total.sum / total.count / scale;
}

inline constexpr double kTernaryThreshold = 0.7;
template <class T>
double ternary_threshold_reference(std::span<const T> x) {
  return mean_magnitude_reference(x, kTernaryThreshold);
}

// The threshold of a tensor: the format's own, or the one of the tensor's elements.
template <class T>
double threshold_reference(const Ternary& format, std::span<const T> x) {
  return format.threshold ? static_cast<double>(static_cast<T>(*format.threshold))
                          : ternary_threshold_reference(x);
}

// NaN stays as it is.
template <class T>
T quantize_reference(const Ternary& format, T x, double threshold) {
  if (std::isnan(x)) return x;
  if (static_cast<double>(x) > threshold) return static_cast<T>(format.magnitude);
  if (static_cast<double>(x) < -threshold) return -static_cast<T>(format.magnitude);
  return T{0};
}

// The whole of `in` decides about each number.
template <class T>
void quantize_reference(const Ternary& format, std::span<const T> in, std::span<T> out,
                        const Context& = {}) {
  const double threshold = threshold_reference(format, in);
  for (std::size_t i = 0; i < in.size(); ++i) {
    out[i] = quantize_reference(format, in[i], threshold);
  }
}

template <class T>
bool overflows(const Ternary& format, T x) {
  return is_outside(bounds<T>(format), x);
}

inline bool is_random(const Ternary&) { return false; }
inline bool is_elementwise(const Ternary& format) { return format.threshold.has_value(); }

template <class T>
FormatFacts facts(const Ternary& format);
template <class T>
std::vector<double> values(const Ternary& format);
bool fits(const Ternary& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_TERNARY_H_
