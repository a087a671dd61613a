#ifndef TENSORQUANT_FORMATS_FLOATING_POINT_H_
#define TENSORQUANT_FORMATS_FLOATING_POINT_H_

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"
#include "tensorquant/formats/rounding.h"

namespace tensorquant {

// A binary float with subnormals: a sign, `exponent_bits` with a bias, `significand_bits` stored
// bits. {5, 10} is binary16, {8, 7} is bfloat16, {8, 23} is binary32. All values are those of
// float32.
struct FloatingPoint {
  // What the largest codes stand for.
  enum class Special {
    ieee,    // the last exponent: infinities and NaN
    fn,      // all ones: NaN; no infinities (OFP8 E4M3)
    finite,  // numbers all of them (OCP FP6 and FP4); NaN stays NaN all the same
    fnuz,    // numbers all of them; one zero, whose negative is NaN
  };
  // What a magnitude beyond the largest value becomes.
  enum class Overflow {
    infinity,   // as IEEE 754: infinity, or where the rounding direction forbids that, the largest
                // finite value
    saturate,   // the largest finite value, for infinities too
    propagate,  // the largest finite value; infinities stay
    nan,        // NaN, or where the rounding direction forbids that, the largest value
  };

  int exponent_bits = 5;      // 2..8
  int significand_bits = 10;  // 1..23
  Rounding rounding = Rounding::even;
  Overflow overflow = Overflow::infinity;  // not for formats without one
  int random_bits = 0;                     // Rounding::stochastic: see Draw
  Special special = Special::ieee;
  int own_bias = 0;  // 0: 2^(exponent_bits-1) - 1, for fnuz 2^(exponent_bits-1)

  int default_bias() const {
    return (1 << (exponent_bits - 1)) - (special == Special::fnuz ? 0 : 1);
  }
  int bias() const { return own_bias != 0 ? own_bias : default_bias(); }
  // The largest exponent field of a finite value.
  int max_field() const { return (1 << exponent_bits) - (special == Special::ieee ? 2 : 1); }
  int max_exponent() const { return max_field() - bias(); }
  int min_exponent() const { return 1 - bias(); }  // of normal values
  // The smallest value is 2^last_bit, of which all others are multiples.
  int last_bit() const { return min_exponent() - significand_bits; }
  double largest() const {
    const double below_two = std::ldexp(special == Special::fn ? 2.0 : 1.0, -significand_bits);
    return std::ldexp(2.0 - below_two, max_exponent());
  }
  double smallest() const { return std::ldexp(1.0, last_bit()); }
  // Finite values; infinities are another matter.
  bool saturates() const {
    return overflow == Overflow::saturate || overflow == Overflow::propagate;
  }
  bool has_negative_zero() const { return special != Special::fnuz; }
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
  double magnitude = format.largest();
  if (away && format.overflow == FloatingPoint::Overflow::infinity) {
    magnitude = std::numeric_limits<double>::infinity();
  }
  if (away && format.overflow == FloatingPoint::Overflow::nan) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return negative ? -magnitude : magnitude;
}

// What infinity becomes.
inline double infinity_value(const FloatingPoint& format) {
  switch (format.overflow) {
    case FloatingPoint::Overflow::saturate:
      return format.largest();
    case FloatingPoint::Overflow::nan:
      return std::numeric_limits<double>::quiet_NaN();
    case FloatingPoint::Overflow::infinity:
    case FloatingPoint::Overflow::propagate:
      break;
  }
  return std::numeric_limits<double>::infinity();
}

// A finite number but zero, rounded as if exponents had no end.
inline double round_unbounded(const FloatingPoint& format, double x, Draw draw) {
  // The distance between neighbours around x; below the normal values it stays what it is there.
  const int exponent = std::max(std::ilogb(x), format.min_exponent());
  const int step = exponent - format.significand_bits;
  return std::ldexp(round_reference(std::ldexp(x, -step), format.rounding, draw), step);
}

// NaN stays as it is; zeros and what is rounded to zero keep the sign, where there are two.
template <class T>
T quantize_reference(const FloatingPoint& format, T x, Draw draw = {}) {
  if (std::isnan(x)) return x;
  if (x == 0) return format.has_negative_zero() ? x : T{0};
  if (std::isinf(x)) {
    const double value = infinity_value(format);
    return static_cast<T>(x < 0 && !std::isnan(value) ? -value : value);
  }
  const double rounded = round_unbounded(format, static_cast<double>(x), draw);
  if (std::abs(rounded) > format.largest()) {
    return static_cast<T>(overflow_value(format, std::signbit(x)));
  }
  if (rounded == 0 && !format.has_negative_zero()) return T{0};
  return static_cast<T>(std::copysign(rounded, static_cast<double>(x)));
}

template <class T>
bool overflows(const FloatingPoint& format, T x, Draw draw = {}) {
  return x != 0 && std::abs(round_unbounded(format, x, draw)) > format.largest();
}

inline bool fits_doubles(const FloatingPoint&) { return true; }
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
