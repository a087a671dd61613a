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

// Two's-complement fixed point: `bits` in all, sign included, `fraction` of them right of the
// point. Values are k * 2^-fraction for the integers k in [-2^(bits-1), 2^(bits-1) - 1].
struct FixedPoint {
  enum class Overflow {
    saturate,  // the nearest end of the range
    wrap,      // two's complement: k modulo 2^bits
  };

  int bits = 8;      // 1..32
  int fraction = 0;  // -64..64
  Rounding rounding = Rounding::nearest;
  Overflow overflow = Overflow::saturate;
  int random_bits = 0;  // Rounding::stochastic: see Draw

  double lowest_integer() const { return -std::ldexp(1.0, bits - 1); }
  double highest_integer() const { return std::ldexp(1.0, bits - 1) - 1; }
  static constexpr bool is_grid = true;  // see GridFormat
  bool operator==(const FixedPoint&) const = default;
};

// The ends of the range. Where the highest is no value of T, the largest value of T below it.
template <class T>
Bounds<T> bounds(const FixedPoint& format) {
  return {static_cast<T>(std::ldexp(format.lowest_integer(), -format.fraction)),
          round_down_to<T>(std::ldexp(format.highest_integer(), -format.fraction))};
}

namespace reference {

// x * 2^fraction. A product too small for a double is replaced by one that rounds the same way; one
// too large is infinite.
inline double scale(double x, int fraction) {
  const double scaled = std::ldexp(x, fraction);
  constexpr double kTiny = 0x1p-100;
  return x != 0 && std::abs(scaled) < kTiny ? std::copysign(kTiny, x) : scaled;
}

// k modulo 2^bits, in [-2^(bits-1), 2^(bits-1)). An infinite k stands for an integer so large that
// its last bits are zero.
inline double wrap(double k, int bits) {
  if (std::isinf(k)) return 0;
  const double modulus = std::ldexp(1.0, bits);
  const double wrapped = k - modulus * std::floor(k / modulus);  // exact, in [0, modulus)
  return wrapped >= modulus / 2 ? wrapped - modulus : wrapped;
}

}  // namespace reference

// Out of range saturates, infinities too; NaN stays as it is; there is one zero, +0.
// With Overflow::wrap infinities and NaN give the quiet NaN.
template <class T>
T quantize_reference(const FixedPoint& format, T x, Draw draw = {}) {
  const bool wraps = format.overflow == FixedPoint::Overflow::wrap;
  if (wraps && !std::isfinite(x)) return std::numeric_limits<T>::quiet_NaN();
  if (std::isnan(x)) return x;
  const double k = round_reference(reference::scale(x, format.fraction), format.rounding, draw);
  if (wraps)
    return static_cast<T>(std::ldexp(reference::wrap(k, format.bits), -format.fraction) + 0.0);
  if (k <= format.lowest_integer()) return bounds<T>(format).lowest;
  if (k >= format.highest_integer()) return bounds<T>(format).highest;
  return static_cast<T>(std::ldexp(k, -format.fraction) + 0.0);  // -0 + 0 = +0
}

inline bool is_random(const FixedPoint& format) { return format.rounding == Rounding::stochastic; }
inline bool is_elementwise(const FixedPoint& format) { return !is_random(format); }

template <class T>
FormatFacts facts(const FixedPoint& format);
template <class T>
std::vector<double> values(const FixedPoint& format);
bool fits(const FixedPoint& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_FIXED_POINT_H_
