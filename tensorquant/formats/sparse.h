#ifndef TENSORQUANT_FORMATS_SPARSE_H_
#define TENSORQUANT_FORMATS_SPARSE_H_

#include <cmath>
#include <limits>

#include "tensorquant/formats/bounds.h"

namespace tensorquant {

// Magnitude pruning: values nearer to zero than a threshold become +0, all others stay.
struct Sparse {
  double threshold = 0;  // rounded to the tensor's type; finite and >= 0 there
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

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_SPARSE_H_
