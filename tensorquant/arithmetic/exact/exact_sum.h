#ifndef TENSORQUANT_ARITHMETIC_EXACT_EXACT_SUM_H_
#define TENSORQUANT_ARITHMETIC_EXACT_EXACT_SUM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "tensorquant/arithmetic/exact/exact_number.h"
#include "tensorquant/base/bits.h"

namespace tensorquant {

// A sum that loses nothing: one long two's complement integer whose last bit is worth that of the
// smallest product of so many numbers of type T, and which has room for 2^32 of the largest (U.
// Kulisch's long accumulator). Infinities and NaN add up beside it, as IEEE 754 says.
template <class T, int kFactors = 2>
class ExactSum {
 public:
  // Any value of T or of a format, which all are doubles.
  void add(double x) {
    if (!std::isfinite(x)) {
      special_ = has_special_ ? special_ + x : x;
      has_special_ = true;
    } else if (x == 0) {
      only_negative_zeros_ &= std::signbit(x);
      is_empty_ = false;
    } else {
      add(exact_number(x));
    }
  }

  void add_product(T a, T b) {
    if (!std::isfinite(a) || !std::isfinite(b) || a == 0 || b == 0) {
      add(static_cast<double>(a * b));
    } else {
      add(exact_product(a, b));
    }
  }

  // a and b are of type T, c is any value of a format.
  void add_product(T a, T b, double c) {
    const auto is_number = [](double x) { return std::isfinite(x) && x != 0; };
    if (!is_number(a) || !is_number(b) || !is_number(c)) {
      // Finite factors count for their sign alone, and do not overflow.
      const auto sign_of = [&](double x) { return is_number(x) ? std::copysign(1.0, x) : x; };
      add(sign_of(a) * sign_of(b) * sign_of(c));
      return;
    }
    // In two halves, as an ExactNumber has no room for three doubles.
    const ExactNumber ab = exact_product(a, b), x = exact_number(c);
    constexpr int kHalf = 53;
    const Uint128 high = ab.significand >> kHalf;
    const Uint128 low = ab.significand & ((Uint128{1} << kHalf) - 1);
    const auto add_half = [&](Uint128 half, int exponent) {
      if (half == 0) return;
      add({ab.negative != x.negative, half * x.significand, exponent + x.exponent, false});
    };
    add_half(high, ab.exponent + kHalf);
    add_half(low, ab.exponent);
  }

  // A number that is not cut and is a sum or product as above.
  void add(const ExactNumber& x);

  // The sum rounded once to the format.
  double rounded(const GridFormat& format, Draw draw) const {
    if (has_special_) return round_special<T>(format, special_);
    if (is_zero()) {
      const bool negative = only_negative_zeros_ && !is_empty_;
      return round_special<T>(format, negative ? -0.0 : 0.0);
    }
    // A sum of any length: what is above the modulus does not count.
    const ExactNumber x = number(modulus_of(format).value_or(kHighest));
    return x.significand == 0 ? 0.0 : round_exact<T>(format, x, draw);
  }

  // Whether the sum lies outside of these bounds; never for NaN.
  bool is_outside(const Bounds<double>& ends) const {
    if (has_special_) return special_ < ends.lowest || special_ > ends.highest;
    const auto sign_of_difference = [this](double end) {
      ExactSum difference = *this;
      difference.add(-end);
      return difference.is_zero() ? 0 : difference.number().negative ? -1 : 1;
    };
    return (std::isfinite(ends.lowest) && sign_of_difference(ends.lowest) < 0) ||
           (std::isfinite(ends.highest) && sign_of_difference(ends.highest) > 0);
  }

  bool has_special() const { return has_special_; }
  bool is_zero() const {
    for (const std::uint64_t limb : limbs_) {
      if (limb != 0) return false;
    }
    return true;
  }
  // The sum modulo 2^end, with its sign; not for zero and where has_special().
  ExactNumber number(int end = kHighest) const;

 private:
  static constexpr int kLowest = kFactors * kMinExponent<T>;  // the last bit is worth 2^kLowest
  static constexpr int kLimbs = (kFactors * (kMaxExponent<T> + 1) - kLowest + 40 + 63) / 64;
  static constexpr int kHighest = kLowest + 64 * kLimbs;

  static void negate(std::array<std::uint64_t, kLimbs>& limbs);

  std::array<std::uint64_t, kLimbs> limbs_ = {};  // the last ones first
  double special_ = 0;
  bool has_special_ = false;
  bool only_negative_zeros_ = true;
  bool is_empty_ = true;
};

template <class T, int kFactors>
void ExactSum<T, kFactors>::add(const ExactNumber& x) {
  only_negative_zeros_ = false;
  is_empty_ = false;
  Uint128 significand = x.significand;
  int position = x.exponent - kLowest;
  if (position < 0) {  // trailing zeros of a double whose last bits are below all values of T
    significand >>= -position;
    position = 0;
  }
  const auto limb = static_cast<std::size_t>(position / 64);
  const int shift = position % 64;
  const Uint128 low = significand << shift;
  const Uint128 high = shift == 0 ? 0 : significand >> (128 - shift);
  const std::uint64_t parts[3] = {static_cast<std::uint64_t>(low),
                                  static_cast<std::uint64_t>(low >> 64),
                                  static_cast<std::uint64_t>(high)};
  std::uint64_t carry = 0;
  for (std::size_t i = limb; i < limbs_.size(); ++i) {
    const std::uint64_t part = i - limb < 3 ? parts[i - limb] : 0;
    if (i - limb >= 3 && carry == 0) break;
    const Uint128 before = limbs_[i];
    const Uint128 change = static_cast<Uint128>(part) + carry;
    const Uint128 after = x.negative ? before - change : before + change;
    limbs_[i] = static_cast<std::uint64_t>(after);
    carry = static_cast<std::uint64_t>(after >> 64) != 0 ? 1 : 0;
  }
}

template <class T, int kFactors>
void ExactSum<T, kFactors>::negate(std::array<std::uint64_t, kLimbs>& limbs) {
  bool carry = true;
  for (std::uint64_t& limb : limbs) {
    limb = ~limb + (carry ? 1 : 0);
    carry = carry && limb == 0;
  }
}

template <class T, int kFactors>
ExactNumber ExactSum<T, kFactors>::number(int end) const {
  auto limbs = limbs_;
  const bool negative = (limbs.back() >> 63) != 0;
  if (negative) negate(limbs);
  const auto bits_from = [&](int first) {  // 64 bits from bit `first`, which may be negative
    const int limb = first >= 0 ? first / 64 : -((63 - first) / 64);
    const int shift = first - 64 * limb;
    const auto at = [&](int i) {
      return i >= 0 && i < kLimbs ? limbs[static_cast<std::size_t>(i)] : std::uint64_t{0};
    };
    return shift == 0 ? at(limb) : at(limb) >> shift | at(limb + 1) << (64 - shift);
  };
  int top = std::min(end - kLowest, 64 * kLimbs);  // one above the highest bit that counts
  while (top > 0 && bits_from(top - 64) == 0) top -= 64;
  if (top <= 0) return {};
  top -= std::countl_zero(bits_from(top - 64));
  // From there down, as many bits as the significand takes.
  constexpr int kBits = 119;
  const int last = top - kBits;
  ExactNumber x{negative, 0, kLowest + last, false};
  x.significand = (static_cast<Uint128>(bits_from(top - 64)) << (kBits - 64)) |
                  (bits_from(last - (128 - kBits)) >> (128 - kBits));
  for (int i = 0; i < last && !x.is_cut; i += 64) {
    const int below = std::min(64, last - i);
    x.is_cut = bits_from(i) << (64 - below) != 0;
  }
  return x;
}

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_EXACT_EXACT_SUM_H_
