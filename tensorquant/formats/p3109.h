#ifndef TENSORQUANT_FORMATS_P3109_H_
#define TENSORQUANT_FORMATS_P3109_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"
#include "tensorquant/formats/rounding.h"

namespace tensorquant {

// Floats of IEEE P3109, interim report 3.2.0: `bits` in all, `precision` of them significant, with
// subnormals, one zero and one NaN. The last code before NaN is infinity in the extended domain. A
// step is a step between codes: with one bit of precision the last bit of a code is its exponent's.
struct P3109 {
  enum class Domain { extended, finite };
  enum class Overflow {
    infinity,   // OvfInf: infinity, or where the rounding direction forbids that, the largest value
    saturate,   // SatFinite: the largest value, for infinities too
    propagate,  // SatPropagate: the largest value; infinities stay
  };

  int bits = 8;       // 2..16
  int precision = 3;  // 1..bits - 1, at least bits - 7: all values are float32's
  bool is_unsigned = false;
  Domain domain = Domain::extended;
  Rounding rounding = Rounding::even;
  Overflow overflow = Overflow::infinity;  // for Domain::extended alone
  int random_bits = 0;                     // Rounding::stochastic: see Draw

  int bias() const { return 1 << (bits - precision - (is_unsigned ? 0 : 1)); }
  int min_exponent() const { return 1 - bias(); }  // of normal values
  // The smallest value is 2^last_bit, of which all others are multiples.
  int last_bit() const { return min_exponent() - (precision - 1); }
  // Of the largest value. Codes count up with the values from zero.
  int last_code() const {
    const int codes = is_unsigned ? (1 << bits) - 1 : 1 << (bits - 1);
    return codes - (domain == Domain::extended ? 2 : 1);
  }
  double value(int code) const {
    const int normal = 1 << (precision - 1);  // the first of them
    const int exponent = std::max(code / normal, 1);
    return std::ldexp(code - (exponent - 1) * normal, exponent - 1 + last_bit());
  }
  double largest() const { return value(last_code()); }
  // What becomes of negative numbers, infinity too, where there is no sign.
  double negative_value() const {
    return overflow == Overflow::infinity ? std::numeric_limits<double>::quiet_NaN() : 0;
  }
  double infinity_value() const {
    return overflow == Overflow::saturate ? largest() : std::numeric_limits<double>::infinity();
  }
  // What a finite value becomes whose rounded magnitude exceeds the largest one.
  double overflow_value(bool negative) const {
    const bool inwards =
        rounding == Rounding::zero || rounding == (negative ? Rounding::up : Rounding::down);
    const bool is_infinite = overflow == Overflow::infinity && !inwards;
    const double magnitude = is_infinite ? std::numeric_limits<double>::infinity() : largest();
    return negative ? 0 - magnitude : magnitude;  // the largest may be 0, of which there is one
  }
  static constexpr bool is_grid = true;  // see GridFormat
  bool operator==(const P3109&) const = default;
};

template <class T>
Bounds<T> bounds(const P3109& format) {
  const T largest = static_cast<T>(format.largest());
  return {format.is_unsigned ? T{0} : 0 - largest, largest};
}

// A finite number but zero, rounded as if codes had no end.
inline double round_unbounded(const P3109& format, double x, Draw draw) {
  const int exponent = std::max(std::ilogb(x), format.min_exponent());
  const int step = exponent - (format.precision - 1);
  const double scaled = std::ldexp(x, -step);
  // The significand's last bit is the code's, except where it is all there is of it: there codes
  // are even where the exponents are, and 1 is odd.
  const bool one_is_even = format.precision == 1 && (exponent - format.min_exponent()) % 2 == 1;
  const double even = one_is_even ? std::copysign(1.0, scaled) : 0;
  return std::ldexp(round_reference(scaled - even, format.rounding, draw) + even, step);
}

// NaN stays as it is; there is one zero, +0. Where there is no sign, negative numbers that do not
// round to zero are what negative_value() says.
template <class T>
T quantize_reference(const P3109& format, T x, Draw draw = {}) {
  if (std::isnan(x)) return x;
  if (x == 0) return T{0};
  double result = std::copysign(format.infinity_value(), static_cast<double>(x));
  if (!std::isinf(x)) {
    const double rounded = round_unbounded(format, static_cast<double>(x), draw);
    const bool is_over = std::abs(rounded) > format.largest();
    result = is_over ? format.overflow_value(x < 0) : rounded;
  }
  if (format.is_unsigned && result < 0) result = format.negative_value();
  return static_cast<T>(result) + T{0};  // -0 + 0 = +0
}

// Without a sign negative numbers overflow, but for those that round to zero.
template <class T>
bool overflows(const P3109& format, T x, Draw draw = {}) {
  if (x == 0) return false;
  const double rounded = round_unbounded(format, x, draw);
  return std::abs(rounded) > format.largest() || (format.is_unsigned && rounded < 0);
}

inline bool fits_doubles(const P3109&) { return true; }
inline bool is_random(const P3109& format) { return format.rounding == Rounding::stochastic; }
inline bool is_elementwise(const P3109& format) { return !is_random(format); }

template <class T>
FormatFacts facts(const P3109& format);
template <class T>
std::vector<double> values(const P3109& format);
bool fits(const P3109& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_P3109_H_
