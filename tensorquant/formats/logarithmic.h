#ifndef TENSORQUANT_FORMATS_LOGARITHMIC_H_
#define TENSORQUANT_FORMATS_LOGARITHMIC_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tensorquant/base/bits.h"
#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"
#include "tensorquant/formats/roots_of_two.h"

namespace tensorquant {

// Signed powers of two and zero: values are +-2^(k / steps()) for the integers k from
// min_exponent * steps() to max_exponent * steps(), each rounded once to the tensor's type, +0 and
// -0.
struct Logarithmic {
  enum class Rounding {
    nearest,   // the closest value; a tie, which only whole exponents have, goes up in magnitude
    down,      // k = floor(log2(abs(x)) * steps())
    exponent,  // k = log2(abs(x)) * steps() rounded to the nearest integer: no number is a tie
  };

  Rounding rounding = Rounding::nearest;
  // The default is all that any tensor type has; each type cuts it to its own exponents, subnormals
  // included.
  int min_exponent = kMinExponent<double>;
  int max_exponent = kMaxExponent<double>;
  int fraction = 0;  // bits of the exponent behind the point, 0..8

  int steps() const { return 1 << fraction; }  // in a power of two
  static constexpr bool is_grid = true;        // see GridFormat
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

// The number of [1, 2] from which on a significand goes to 2^((step + 1) / steps()) and no longer
// to 2^(step / steps()); kRootBits are behind its point. Where it is not exact no significand of
// float64 is so near to it that its wrong bits could decide.
Uint128 border(const Logarithmic& format, int step);

// How many of an octave's borders lie at or below a significand.
int borders_reached(const Logarithmic& format, Uint128 significand);

// A power of two in steps of 1 / format.steps(), as a value of T.
template <class T>
T power_of_two_in_steps(const Logarithmic& format, int k) {
  const int exponent = k >> format.fraction;  // rounds down
  const int step = k - exponent * format.steps();
  return power_of_two<T>(exponent, step * (kRootSteps / format.steps()));
}

// The k of a finite number but zero, which may be out of range.
template <class T>
int rounded_step(const Logarithmic& format, T x) {
  const int e = std::ilogb(x);
  const double scaled = std::abs(std::ldexp(static_cast<double>(x), 52 - e));  // an integer
  const Uint128 significand = Uint128{static_cast<std::uint64_t>(scaled)} << (kRootBits - 52);
  return e * format.steps() + borders_reached(format, significand);
}

// Below half of the smallest power (Rounding::down, exponent: where k is less than the smallest)
// the result is zero, above the largest it is the largest, for infinities too. NaN stays as it is,
// zeros keep their sign.
template <class T>
T quantize_reference(const Logarithmic& format, T x) {
  if (std::isnan(x) || x == 0) return x;
  const int lowest = min_exponent<T>(format);
  const int highest = max_exponent<T>(format);
  if (std::isinf(x)) return static_cast<T>(std::copysign(std::ldexp(1.0, highest), x));
  const bool is_nearest = format.rounding == Logarithmic::Rounding::nearest;
  if (is_nearest && std::ilogb(x) < lowest - 1) return std::copysign(T{0}, x);
  const int k = rounded_step(format, x);
  if (!is_nearest && k < lowest * format.steps()) return std::copysign(T{0}, x);
  const int in_range = std::clamp(k, lowest * format.steps(), highest * format.steps());
  return std::copysign(power_of_two_in_steps<T>(format, in_range), x);
}

template <class T>
bool overflows(const Logarithmic& format, T x) {
  return x != 0 && rounded_step(format, x) > max_exponent<T>(format) * format.steps();
}

// Other values than whole powers are those of one type.
inline bool fits_doubles(const Logarithmic& format) { return format.fraction == 0; }
inline bool is_random(const Logarithmic&) { return false; }
inline bool is_elementwise(const Logarithmic&) { return true; }

template <class T>
FormatFacts facts(const Logarithmic& format);
template <class T>
std::vector<double> values(const Logarithmic& format);
bool fits(const Logarithmic& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_LOGARITHMIC_H_
