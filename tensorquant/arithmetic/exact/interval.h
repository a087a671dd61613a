#ifndef TENSORQUANT_ARITHMETIC_EXACT_INTERVAL_H_
#define TENSORQUANT_ARITHMETIC_EXACT_INTERVAL_H_

#include <cstdint>

#include "tensorquant/arithmetic/exact/natural.h"

namespace tensorquant {

// A real number of 0 or more: low * 2^-bits <= number <= high * 2^-bits, `bits` being those of the
// Intervals that made it. Both are equal only where the number is exact.
struct Interval {
  Natural low, high;
};

// Arithmetic on intervals of so many bits behind the point. Lower ends are rounded down and upper
// ends up, so that a result holds whatever numbers of the operands give: no error needs a proof.
class Intervals {
 public:
  explicit Intervals(int bits) : bits_(bits) {}

  int bits() const { return bits_; }
  Interval integer(std::uint64_t n) const { return exact(Natural(n) << bits_); }
  // significand * 2^exponent.
  Interval number(std::uint64_t significand, int exponent) const;

  Interval add(const Interval& a, const Interval& b) const;
  Interval subtract(const Interval& a, const Interval& b) const;  // a >= b
  Interval multiply(const Interval& a, const Interval& b) const;
  Interval multiply(const Interval& a, std::uint64_t n) const;
  Interval divide(const Interval& a, const Interval& b) const;  // b.low is not 0
  Interval divide(const Interval& a, std::uint64_t n) const;
  Interval halve(const Interval& a, int times) const;
  Interval root(const Interval& a) const;

  // Of x below 1: its terms must become smaller by half or more from one to the next.
  Interval exp_of_fraction(const Interval& x) const;
  // 2 artanh(z), which is log((1 + z) / (1 - z)); z is 1/2 or less.
  Interval twice_artanh(const Interval& z) const;
  Interval log2() const { return twice_artanh(divide(integer(1), 3)); }
  Interval pi() const;
  // erf(x / sqrt(2)) sqrt(pi / 2) / x e^(x^2/2) of x^2: the sum of x^(2n) / (1 * 3 * ... (2n + 1)).
  Interval erf_series(const Interval& square) const;

 private:
  static Interval exact(const Natural& x) { return {x, x}; }
  Interval inverse_tangent_of_inverse(std::uint64_t n) const;

  int bits_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_EXACT_INTERVAL_H_
