#ifndef TENSORQUANT_FORMATS_ROOTS_OF_TWO_H_
#define TENSORQUANT_FORMATS_ROOTS_OF_TWO_H_

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensorquant/base/bits.h"

namespace tensorquant {

// Numbers of [1, 2] as integers with so many bits behind the point.
inline constexpr int kRootBits = 126;
// Roots are known for 2^(1/512).
inline constexpr int kRootSteps = 512;

// 2^(n / 512) for n from 0 to 512, cut; its last six bits may be wrong.
Uint128 root_of_two(int n);

// 2^(exponent + n / 512), n below 512, rounded once to T, subnormals as well. No root is so near to
// the middle between two numbers of T that its wrong bits could decide.
template <class T>
T power_of_two(int exponent, int n) {
  if (n == 0) return static_cast<T>(std::ldexp(1.0, exponent));
  using Limits = std::numeric_limits<T>;
  const int subnormal_bits = std::max(0, Limits::min_exponent - 1 - exponent);
  const int dropped = kRootBits - (Limits::digits - 1) + subnormal_bits;
  const Uint128 kept = (root_of_two(n) + (Uint128{1} << (dropped - 1))) >> dropped;
  return static_cast<T>(std::ldexp(static_cast<double>(kept), dropped - kRootBits + exponent));
}

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_ROOTS_OF_TWO_H_
