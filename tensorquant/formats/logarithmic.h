#ifndef TENSORQUANT_FORMATS_LOGARITHMIC_H_
#define TENSORQUANT_FORMATS_LOGARITHMIC_H_

#include <algorithm>
#include <cmath>

#include "tensorquant/base/bits.h"
#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"
#include "tensorquant/formats/rounding.h"

namespace tensorquant {

// Signed powers of two and zero: values are +-2^e for the integers e in [min_exponent,
// max_exponent], +0 and -0.
struct Logarithmic {
  // Rounding::nearest: the closest power of two, a tie goes up in magnitude. Rounding::down: e =
  // floor(log2(abs(x))).
  Rounding rounding = Rounding::nearest;
  // The default is all that any tensor type has; each type cuts it to its own exponents, subnormals
  // included.
  int min_exponent = kMinExponent<double>;
  int max_exponent = kMaxExponent<double>;
  static constexpr bool is_grid = true;  // see GridFormat
  bool operator==(const Logarithmic&) const = default;
};

// The exponents that the format has in a tensor of type T.
template <class T>
int min_exponent(const Logarithmic& format) {
  return std::clamp(format.min_exponent, kMinExponent<T>, kMaxExponent<T>);
}
template <class T>
int max_exponent(const Logarithmic& format) {
  return std::clamp(format.max_exponent, kMinExponent<T>, kMaxExponent<T>);
}

template <class T>
Bounds<T> bounds(const Logarithmic& format) {
  const T largest = static_cast<T>(std::ldexp(1.0, max_exponent<T>(format)));
  return {-largest, largest};
}

// Below half of the smallest power (Rounding::down: below it) the result is zero, above the largest
// it is the largest, for infinities too. NaN stays as it is, zeros keep their sign.
template <class T>
T quantize_reference(const Logarithmic& format, T x) {
  if (std::isnan(x) || x == 0) return x;
  const int lowest = min_exponent<T>(format);
  const int highest = max_exponent<T>(format);
  if (std::isinf(x)) return static_cast<T>(std::copysign(std::ldexp(1.0, highest), x));
  int e = std::ilogb(x);
  const double significand = std::abs(std::ldexp(static_cast<double>(x), -e));  // in [1, 2)
  const bool is_nearest = format.rounding == Rounding::nearest;
  if (e < lowest - (is_nearest ? 1 : 0)) return std::copysign(T{0}, x);
  if (is_nearest && significand >= 1.5) ++e;
  return static_cast<T>(std::copysign(std::ldexp(1.0, std::clamp(e, lowest, highest)), x));
}

inline bool fits_doubles(const Logarithmic&) { return true; }
inline bool is_random(const Logarithmic&) { return false; }
inline bool is_elementwise(const Logarithmic&) { return true; }

template <class T>
FormatFacts facts(const Logarithmic& format);
template <class T>
std::vector<double> values(const Logarithmic& format);
bool fits(const Logarithmic& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_LOGARITHMIC_H_
