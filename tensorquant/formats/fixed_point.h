#ifndef TENSORQUANT_FORMATS_FIXED_POINT_H_
#define TENSORQUANT_FORMATS_FIXED_POINT_H_

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensorquant/base/bits.h"
#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"
#include "tensorquant/formats/rounding.h"

namespace tensorquant {

// Fixed point in two's complement or unsigned: `bits` in all, a sign included, `fraction` of them
// right of the point. Values are k * 2^-fraction for the integers k of
// [-2^(bits-1), 2^(bits-1) - 1] or of [0, 2^bits - 1].
struct FixedPoint {
  // What becomes of an integer out of range. The names are those of IEEE 1666, in capitals.
  enum class Overflow {
    saturate,        // the nearest end of the range: SAT
    wrap,            // k modulo 2^bits: WRAP
    symmetric,       // as saturate, but -2^(bits-1) is no value: SAT_SYM
    zero,            // 0: SAT_ZERO
    sign_magnitude,  // signed alone: k modulo 2^bits, all bits inverted where the lowest of those
                     // that are lost differs from the sign: WRAP_SM
  };

  int bits = 8;      // 1..64
  int fraction = 0;  // -64..64
  bool is_unsigned = false;
  Rounding rounding = Rounding::nearest;
  Overflow overflow = Overflow::saturate;
  int random_bits = 0;  // Rounding::stochastic: see Draw

  bool wraps() const { return overflow == Overflow::wrap || overflow == Overflow::sign_magnitude; }
  bool saturates() const {
    return overflow == Overflow::saturate || overflow == Overflow::symmetric;
  }
  int magnitude_bits() const { return is_unsigned ? bits : bits - 1; }
  // Ends that have more bits than a double are cut towards zero. No double lies between the two.
  double lowest_integer() const {
    if (is_unsigned) return 0;
    return overflow == Overflow::symmetric ? 0 - highest_integer() : -std::ldexp(1.0, bits - 1);
  }
  double highest_integer() const { return truncated_sum(std::ldexp(1.0, magnitude_bits()), -1); }
  static constexpr bool is_grid = true;  // see GridFormat
  bool operator==(const FixedPoint&) const = default;
};

// The ends of the range. Where one is no value of T, the one of T below it in magnitude.
template <class T>
Bounds<T> bounds(const FixedPoint& format) {
  return {truncate_to<T>(std::ldexp(format.lowest_integer(), -format.fraction)),
          truncate_to<T>(std::ldexp(format.highest_integer(), -format.fraction))};
}

namespace reference {

// x * 2^fraction. A product too small for a double is replaced by one that rounds the same way; one
// too large is infinite.
inline double scale(double x, int fraction) {
  const double scaled = std::ldexp(x, fraction);
  constexpr double kTiny = 0x1p-100;
  return x != 0 && std::abs(scaled) < kTiny ? std::copysign(kTiny, x) : scaled;
}

// k modulo 2^bits as an integer of the format. An infinite k stands for one so large that its last
// bits are zero. What has more bits than a double is cut towards zero.
inline double wrap(const FixedPoint& format, double k) {
  if (std::isinf(k)) return 0;
  const double modulus = std::ldexp(1.0, format.bits);
  const double rest = std::fmod(k, modulus);  // exact, with the sign of k
  if (format.is_unsigned) return rest < 0 ? truncated_sum(rest, modulus) : rest;
  if (rest >= modulus / 2) return rest - modulus;  // exact, as is the next one
  return rest < -modulus / 2 ? rest + modulus : rest;
}

// The integer of x, which may be out of range.
inline double integer_of(const FixedPoint& format, double x, Draw draw) {
  return round_reference(scale(x, format.fraction), format.rounding, draw);
}

// The integer of the format that k becomes.
inline double in_range(const FixedPoint& format, double k) {
  const double lowest = format.lowest_integer(), highest = format.highest_integer();
  switch (format.overflow) {
    case FixedPoint::Overflow::saturate:
    case FixedPoint::Overflow::symmetric:
      return std::clamp(k, lowest, highest);
    case FixedPoint::Overflow::zero:
      return k < lowest || k > highest ? 0 : k;
    case FixedPoint::Overflow::wrap:
      return wrap(format, k);
    case FixedPoint::Overflow::sign_magnitude:
      break;
  }
  const double wrapped = wrap(format, k);
  const double turns = std::isinf(k) ? 0 : std::floor(std::ldexp(k, -format.bits));
  const bool lowest_lost_bit = std::fmod(turns, 2) != 0;
  return lowest_lost_bit != (wrapped < 0) ? truncated_sum(-1, -wrapped) : wrapped;
}

}  // namespace reference

// NaN stays as it is and there is one zero, +0. Infinities are out of range; where that wraps, they
// and NaN give the quiet NaN. A value that T does not have is the one of T below it in magnitude.
template <class T>
T quantize_reference(const FixedPoint& format, T x, Draw draw = {}) {
  if (format.wraps() && !std::isfinite(x)) return std::numeric_limits<T>::quiet_NaN();
  if (std::isnan(x)) return x;
  const double k = reference::integer_of(format, x, draw);
  const double value = std::ldexp(reference::in_range(format, k), -format.fraction);
  return truncate_to<T>(value) + T{0};  // -0 + 0 = +0
}

template <class T>
bool overflows(const FixedPoint& format, T x, Draw draw = {}) {
  const double k = reference::integer_of(format, x, draw);
  return k < format.lowest_integer() || k > format.highest_integer();
}

inline bool fits_doubles(const FixedPoint& format) { return format.magnitude_bits() <= 52; }
inline bool is_random(const FixedPoint& format) { return format.rounding == Rounding::stochastic; }
inline bool is_elementwise(const FixedPoint& format) { return !is_random(format); }

template <class T>
FormatFacts facts(const FixedPoint& format);
template <class T>
std::vector<double> values(const FixedPoint& format);
bool fits(const FixedPoint& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_FIXED_POINT_H_
