#ifndef TENSORQUANT_FORMATS_POSIT_H_
#define TENSORQUANT_FORMATS_POSIT_H_

#include <cmath>
#include <cstdint>
#include <limits>

#include "tensorquant/base/bits.h"
#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"

namespace tensorquant {

// Posits of the standard of 2022: `bits` in all, a sign included. A magnitude 2^(regime *
// 2^exponent_bits + exponent) * (1 + fraction) is written as a string: the regime as a run of ones
// and a zero (regime + 1 ones) or of zeros and a one (-regime zeros), the exponent in exponent_bits
// bits, then the fraction; what does not fit is lost.
struct Posit {
  int bits = 16;          // 3..32
  int exponent_bits = 2;  // largest_exponent() is at most 126: all exponents are float32's

  int largest_exponent() const { return (bits - 2) << exponent_bits; }
  double largest() const { return std::ldexp(1.0, largest_exponent()); }
  double smallest() const { return std::ldexp(1.0, -largest_exponent()); }
  // How many bits a regime leaves for exponent and fraction.
  int bits_behind(int regime) const {
    const int run = regime < 0 ? -regime : regime + 1;
    return bits - 2 - run;  // one is the sign, one ends the run
  }
  static constexpr bool is_grid = true;  // see GridFormat
  bool operator==(const Posit&) const = default;
};

template <class T>
Bounds<T> bounds(const Posit& format) {
  const T largest = static_cast<T>(format.largest());
  return {-largest, largest};
}

// The string of a positive number: its endless string rounded to N bits, ties to even, but never to
// zero nor beyond the largest. So the border between neighbours is the posit of N+1 bits between
// them, which is not their mean where bits of the exponent are lost.
std::uint32_t nearest_posit(const Posit& format, double magnitude);

// The number that a positive string stands for.
double posit_value(const Posit& format, std::uint32_t code);

// There is one zero, +0; infinities give the quiet NaN,
// NaN stays as it is. Bits are lost only where the string has fewer than T, so that results are
// values of T.
template <class T>
T quantize_reference(const Posit& format, T x) {
  if (std::isnan(x)) return x;
  if (x == 0) return T{0};
  if (std::isinf(x)) return std::numeric_limits<T>::quiet_NaN();
  const double magnitude = std::abs(static_cast<double>(x));
  const double value = posit_value(format, nearest_posit(format, magnitude));
  return static_cast<T>(std::copysign(value, static_cast<double>(x)));
}

template <class T>
bool overflows(const Posit& format, T x) {
  return is_outside(bounds<T>(format), x);
}

inline bool fits_doubles(const Posit&) { return true; }
inline bool is_random(const Posit&) { return false; }
inline bool is_elementwise(const Posit&) { return true; }

template <class T>
FormatFacts facts(const Posit& format);
template <class T>
std::vector<double> values(const Posit& format);
bool fits(const Posit& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_POSIT_H_
