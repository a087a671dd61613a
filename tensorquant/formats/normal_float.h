#ifndef TENSORQUANT_FORMATS_NORMAL_FLOAT_H_
#define TENSORQUANT_FORMATS_NORMAL_FLOAT_H_

#include <array>
#include <cmath>
#include <cstddef>

#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"

namespace tensorquant {

// The 4-bit NormalFloat: 16 values, quantiles of a normal distribution. T. Dettmers and others,
// "QLoRA", arXiv:2305.14314, appendix E.
struct NormalFloat4 {
  static constexpr std::array<float, 16> kValues = {-1.0f,
                                                    -0.6961928009986877f,
                                                    -0.5250730514526367f,
                                                    -0.39491748809814453f,
                                                    -0.28444138169288635f,
                                                    -0.18477343022823334f,
                                                    -0.09105003625154495f,
                                                    0.0f,
                                                    0.07958029955625534f,
                                                    0.16093020141124725f,
                                                    0.24611230194568634f,
                                                    0.33791524171829224f,
                                                    0.44070982933044434f,
                                                    0.5626170039176941f,
                                                    0.7229568362236023f,
                                                    1.0f};
  // The middle between a value and the next one, exactly.
  static double border(std::size_t i) { return (double{kValues[i]} + double{kValues[i + 1]}) / 2; }
  static constexpr bool is_grid = false;  // see GridFormat
  bool operator==(const NormalFloat4&) const = default;
};

template <class T>
Bounds<T> bounds(const NormalFloat4&) {
  return {T{-1}, T{1}};
}

// The nearest value, of two the lower one; infinities saturate, NaN stays as it is.
template <class T>
T quantize_reference(const NormalFloat4& format, T x) {
  if (std::isnan(x)) return x;
  std::size_t i = 0;
  while (i + 1 < format.kValues.size() && static_cast<double>(x) > format.border(i)) ++i;
  return format.kValues[i];
}

template <class T>
bool overflows(const NormalFloat4& format, T x) {
  return is_outside(bounds<T>(format), x);
}

inline bool is_random(const NormalFloat4&) { return false; }
inline bool is_elementwise(const NormalFloat4&) { return true; }

template <class T>
FormatFacts facts(const NormalFloat4& format);
template <class T>
std::vector<double> values(const NormalFloat4& format);
bool fits(const NormalFloat4& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_NORMAL_FLOAT_H_
