#ifndef TENSORQUANT_FORMATS_ADDITIVE_POWERS_H_
#define TENSORQUANT_FORMATS_ADDITIVE_POWERS_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"

namespace tensorquant {

// Additive powers of two: magnitudes are the sums of n terms, term i from {0, 2^-i, 2^-(i+n),
// 2^-(i+2n)}, two bits a term. Y. Li, X. Dong, W. Wang, "Additive powers-of-two quantization",
// arXiv:1909.13144, equation 5 with k = 2, not normalised.
struct AdditivePowers {
  int bits = 4;  // odd with a sign, 3..7; even without, 2..6
  bool is_unsigned = true;

  int terms() const { return (is_unsigned ? bits : bits - 1) / 2; }
  // All magnitudes are multiples of 2^-last_place().
  int last_place() const { return 3 * terms() - 1; }
  // In ascending order.
  std::vector<double> magnitudes() const;
  static constexpr bool is_grid = false;  // see GridFormat
  bool operator==(const AdditivePowers&) const = default;
};

template <class T>
Bounds<T> bounds(const AdditivePowers& format) {
  const T largest = static_cast<T>(2 - std::ldexp(2.0, -format.terms()));  // 1 + 1/2 + ...
  return {format.is_unsigned ? T{0} : -largest, largest};
}

// The nearest value, of two the one of smaller magnitude; infinities saturate, NaN stays as it is.
// There is one zero, +0.
template <class T>
T quantize_reference(const AdditivePowers& format, T x) {
  if (std::isnan(x)) return x;
  if (format.is_unsigned && x < 0) return T{0};
  const double magnitude = std::abs(static_cast<double>(x));
  double below = 0;
  double nearest = 0;
  for (const double value : format.magnitudes()) {
    if (magnitude > (below + value) / 2) nearest = value;
    below = value;
  }
  return nearest == 0 ? T{0} : static_cast<T>(std::copysign(nearest, static_cast<double>(x)));
}

template <class T>
bool overflows(const AdditivePowers& format, T x) {
  return is_outside(bounds<T>(format), x);
}

inline bool is_random(const AdditivePowers&) { return false; }
inline bool is_elementwise(const AdditivePowers&) { return true; }

template <class T>
FormatFacts facts(const AdditivePowers& format);
template <class T>
std::vector<double> values(const AdditivePowers& format);
bool fits(const AdditivePowers& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_ADDITIVE_POWERS_H_
