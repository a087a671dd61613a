#ifndef TENSORQUANT_FORMATS_SPARSE_H_
#define TENSORQUANT_FORMATS_SPARSE_H_

#include <cmath>
#include <limits>

#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"

namespace tensorquant {

// Magnitude pruning: values nearer to zero than a threshold become +0, all others stay.
struct Sparse {
  double threshold = 0;                   // rounded to the tensor's type; finite and >= 0 there
  static constexpr bool is_grid = false;  // see GridFormat
  bool operator==(const Sparse&) const = default;
};

template <class T>
Bounds<T> bounds(const Sparse&) {
  return {-std::numeric_limits<T>::infinity(), std::numeric_limits<T>::infinity()};
}

// NaN stays as it is.
template <class T>
T quantize_reference(const Sparse& format, T x) {
  return std::abs(x) < static_cast<T>(format.threshold) ? T{0} : x;
}

template <class T>
bool overflows(const Sparse&, T) {
  return false;
}

inline bool is_random(const Sparse&) { return false; }
inline bool is_elementwise(const Sparse&) { return true; }

template <class T>
FormatFacts facts(const Sparse& format);
template <class T>
std::vector<double> values(const Sparse& format);
bool fits(const Sparse& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_SPARSE_H_
