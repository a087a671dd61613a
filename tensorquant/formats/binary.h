#ifndef TENSORQUANT_FORMATS_BINARY_H_
#define TENSORQUANT_FORMATS_BINARY_H_

#include <cmath>

#include "tensorquant/formats/bounds.h"

namespace tensorquant {

// Two values, +magnitude and -magnitude.
struct Binary {
  double magnitude = 1;  // rounded to the tensor's type; finite and > 0 there
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

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_BINARY_H_
