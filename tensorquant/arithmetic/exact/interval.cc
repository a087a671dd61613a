#include "tensorquant/arithmetic/exact/interval.h"

namespace tensorquant {
namespace {

const Natural kOne(1);

Natural rounded_up(const Natural& x, int bits) {
  const Natural down = x >> bits;
  return x.is_multiple_of_power(bits) ? down : down + kOne;
}

Natural divided_up(const Natural& a, const Natural& b) { return (a + b - kOne) / b; }

// The terms that follow `last`, each no more than half of the one before, add up to no more than
// `last` itself.
Interval with_rest(Interval sum, const Interval& last) {
  sum.high = sum.high + last.high;
  return sum;
}

}  // namespace

Interval Intervals::number(std::uint64_t significand, int exponent) const {
  const Natural x(significand);
  const int shift = exponent + bits_;
  if (shift >= 0) return exact(x << shift);
  return {x >> -shift, rounded_up(x, -shift)};
}

Interval Intervals::add(const Interval& a, const Interval& b) const {
  return {a.low + b.low, a.high + b.high};
}

Interval Intervals::subtract(const Interval& a, const Interval& b) const {
  return {a.low > b.high ? a.low - b.high : Natural(), a.high - b.low};
}

Interval Intervals::multiply(const Interval& a, const Interval& b) const {
  return {(a.low * b.low) >> bits_, rounded_up(a.high * b.high, bits_)};
}

Interval Intervals::multiply(const Interval& a, std::uint64_t n) const {
  return {a.low * n, a.high * n};
}

Interval Intervals::divide(const Interval& a, const Interval& b) const {
  return {(a.low << bits_) / b.high, divided_up(a.high << bits_, b.low)};
}

Interval Intervals::divide(const Interval& a, std::uint64_t n) const {
  return {a.low / n, (a.high + Natural(n - 1)) / n};
}

Interval Intervals::halve(const Interval& a, int times) const {
  return {a.low >> times, rounded_up(a.high, times)};
}

Interval Intervals::root(const Interval& a) const {
  const Natural high = a.high << bits_, root = high.root();
  return {(a.low << bits_).root(), root * root == high ? root : root + kOne};
}

Interval Intervals::exp_of_fraction(const Interval& x) const {
  constexpr int kHalvings = 8;  // e^x = (e^(x / 2^8))^(2^8), with a shorter series
  const Interval small = halve(x, kHalvings);
  Interval term = integer(1), sum = term;
  for (std::uint64_t n = 1; term.high > kOne; ++n) {
    term = divide(multiply(term, small), n);
    sum = add(sum, term);
  }
  if (!x.high.is_zero()) sum = with_rest(sum, term);
  for (int i = 0; i < kHalvings; ++i) sum = multiply(sum, sum);
  return sum;
}

Interval Intervals::twice_artanh(const Interval& z) const {
  const Interval square = multiply(z, z);
  Interval power = multiply(z, 2), sum = power;
  for (std::uint64_t n = 3; power.high > kOne; n += 2) {
    power = multiply(power, square);
    sum = add(sum, divide(power, n));
  }
  return with_rest(sum, power);
}

// Euler's series: the sum of 2^(2k) k!^2 / (2k + 1)! * n / (n^2 + 1)^(k + 1).
Interval Intervals::inverse_tangent_of_inverse(std::uint64_t n) const {
  Interval term = divide(integer(n), n * n + 1), sum = term;
  for (std::uint64_t k = 1; term.high > kOne; ++k) {
    term = divide(multiply(term, 2 * k), (2 * k + 1) * (n * n + 1));
    sum = add(sum, term);
  }
  return with_rest(sum, term);
}

Interval Intervals::pi() const {  // J. Machin's
  return subtract(multiply(inverse_tangent_of_inverse(5), 16),
                  multiply(inverse_tangent_of_inverse(239), 4));
}

Interval Intervals::erf_series(const Interval& square) const {
  Interval term = integer(1), sum = term;
  for (std::uint64_t n = 3;; n += 2) {
    term = divide(multiply(term, square), n);
    sum = add(sum, term);
    // From here on each is at most half of the one before.
    if (square.high * 2 < integer(n).low && term.high <= kOne) break;
  }
  return with_rest(sum, term);
}

}  // namespace tensorquant
