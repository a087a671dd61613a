#ifndef TENSORQUANT_FORMATS_BINARY_H_
#define TENSORQUANT_FORMATS_BINARY_H_

#include <cmath>

#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"

namespace tensorquant {

// Two values, +magnitude and -magnitude.
struct Binary {
  double magnitude = 1;                   // rounded to the tensor's type; finite and > 0 there
  static constexpr bool is_grid = false;  // see GridFormat
  bool operator==(const Binary&) const = default;
};

template <class T>
Bounds<T> bounds(const Binary& format) {
  const T magnitude = static_cast<T>(format.magnitude);
  return {-magnitude, magnitude};
}

// Both zeros count as positive; NaN stays as it is.
template <class T>
T quantize_reference(const Binary& format, T x) {
  if (std::isnan(x)) return x;
  return x >= 0 ? static_cast<T>(format.magnitude) : -static_cast<T>(format.magnitude);
}

template <class T>
bool overflows(const Binary& format, T x) {
  return is_outside(bounds<T>(format), x);
}

inline bool is_random(const Binary&) { return false; }
inline bool is_elementwise(const Binary&) { return true; }

template <class T>
FormatFacts facts(const Binary& format);
template <class T>
std::vector<double> values(const Binary& format);
bool fits(const Binary& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_BINARY_H_
