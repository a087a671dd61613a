#ifndef TENSORQUANT_FORMATS_FLOATING_POINT_H_
#define TENSORQUANT_FORMATS_FLOATING_POINT_H_

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"
#include "tensorquant/formats/rounding.h"

namespace tensorquant {

// An IEEE 754 style binary float: a sign, `exponent_bits` with bias 2^(exponent_bits-1) - 1,
// `significand_bits` stored bits. It has subnormals, two zeros, infinities and NaN: {5, 10} is
// binary16, {8, 7} is bfloat16, {8, 23} is binary32.
struct FloatingPoint {
  enum class Overflow {
    infinity,  // as IEEE 754: to infinity, or where the rounding direction forbids that, to the
               // largest finite value
    saturate,  // the largest finite value, for infinities too
  };

  int exponent_bits = 5;      // 2..8
  int significand_bits = 10;  // 1..23
  Rounding rounding = Rounding::even;
  Overflow overflow = Overflow::infinity;
  int random_bits = 0;  // Rounding::stochastic: see Draw

  int max_exponent() const { return (1 << (exponent_bits - 1)) - 1; }
  int min_exponent() const { return 1 - max_exponent(); }  // of normal values
  // The smallest value is 2^last_bit, of which all others are multiples.
  int last_bit() const { return min_exponent() - significand_bits; }
  double largest() const {
    return std::ldexp(2.0 - std::ldexp(1.0, -significand_bits), max_exponent());
  }
  double smallest() const { return std::ldexp(1.0, last_bit()); }
  static constexpr bool is_grid = true;  // see GridFormat
  bool operator==(const FloatingPoint&) const = default;
};

template <class T>
Bounds<T> bounds(const FloatingPoint& format) {
  const T largest = static_cast<T>(format.largest());
  return {-largest, largest};
}

// What a finite value becomes whose rounded magnitude exceeds the largest one.
inline double overflow_value(const FloatingPoint& format, bool negative) {
  const bool away = is_to_nearest(format.rounding) || format.rounding == Rounding::stochastic ||
                    format.rounding == (negative ? Rounding::down : Rounding::up);
  const bool to_infinity = format.overflow == FloatingPoint::Overflow::infinity && away;
  const double magnitude = to_infinity ? std::numeric_limits<double>::infinity() : format.largest();
  return negative ? -magnitude : magnitude;
}

// Zeros and NaN stay as they are; a result of zero keeps the sign.
template <class T>
T quantize_reference(const FloatingPoint& format, T x, Draw draw = {}) {
  if (std::isnan(x) || x == 0) return x;
  if (std::isinf(x)) {
    return format.overflow == FloatingPoint::Overflow::infinity
               ? x
               : static_cast<T>(std::copysign(format.largest(), x));
  }
  // The distance between neighbours around x; below the normal values it stays what it is there.
  const int exponent = std::max(std::ilogb(x), format.min_exponent());
  const int step = exponent - format.significand_bits;
  const double scaled = std::ldexp(static_cast<double>(x), -step);
  const double rounded = std::ldexp(round_reference(scaled, format.rounding, draw), step);
  if (std::abs(rounded) > format.largest()) {
    return static_cast<T>(overflow_value(format, std::signbit(x)));
  }
  return static_cast<T>(std::copysign(rounded, static_cast<double>(x)));
}

inline bool is_random(const FloatingPoint& format) {
  return format.rounding == Rounding::stochastic;
}
inline bool is_elementwise(const FloatingPoint& format) { return !is_random(format); }

template <class T>
FormatFacts facts(const FloatingPoint& format);
template <class T>
std::vector<double> values(const FloatingPoint& format);
bool fits(const FloatingPoint& format, const FloatingPoint& type);

// Whether x is a value of the format, which has no more bits than float32.
bool has_value(const FloatingPoint& format, double x);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_FLOATING_POINT_H_
