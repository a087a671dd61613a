#include "tensorquant/formats/roots_of_two.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tensorquant/formats/logarithmic.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

// A number of [1, 2] with 53 bits, as root_of_two() gives them.
Uint128 significand(double x) {
  return Uint128{static_cast<std::uint64_t>(std::ldexp(x, 52))} << (kRootBits - 52);
}

// Knuth, The Art of Computer Programming, vol. 1, appendix A: 1.41421 35623 73095 04880, and from
// it 2^(1/4) = 1.18920 71150 02721 06671.
TEST(RootsOfTwo, AreThoseOfTheHandbook) {
  EXPECT_SAME_BITS(power_of_two<double>(0, 256), 1.41421356237309504880);
  EXPECT_SAME_BITS(power_of_two<double>(0, 128), 1.18920711500272106671);
  EXPECT_SAME_BITS(power_of_two<float>(3, 256), 8 * 1.41421356237309504880f);
  EXPECT_TRUE(root_of_two(0) == Uint128{1} << kRootBits);
  EXPECT_TRUE(root_of_two(kRootSteps) == Uint128{2} << kRootBits);
}

// 2^(n/512) times 2^(1 - n/512) is 2.
TEST(RootsOfTwo, AreEachOthersQuotients) {
  const auto value = [](int n) {
    return std::ldexp(static_cast<double>(root_of_two(n)), -kRootBits);
  };
  for (int n = 0; n <= kRootSteps; ++n) {
    EXPECT_NEAR(value(n) * value(kRootSteps - n), 2, 1e-15) << n;
    EXPECT_TRUE(n == 0 || root_of_two(n - 1) < root_of_two(n)) << n;
  }
}

// What power_of_two() and border() rely on: no bits within a thousand units of the last one of a
// decision.
TEST(RootsOfTwo, AreFarFromEveryDecision) {
  constexpr Uint128 kUnsure = 1000;
  const auto is_far = [](Uint128 number, int bits) {  // from every number with so many bits
    const Uint128 rest = number & ((Uint128{1} << bits) - 1);
    return rest > kUnsure && rest < (Uint128{1} << bits) - kUnsure;
  };
  for (int n = 1; n < kRootSteps; ++n) {
    // Middles of numbers with 53, 24 or fewer bits have one bit more.
    for (int bits = kRootBits - 53; bits <= kRootBits; ++bits)
      EXPECT_TRUE(is_far(root_of_two(n), bits));
  }
  for (int fraction = 0; fraction <= 8; ++fraction) {
    for (const auto rounding : {Logarithmic::Rounding::nearest, Logarithmic::Rounding::down,
                                Logarithmic::Rounding::exponent}) {
      const Logarithmic format{.rounding = rounding, .fraction = fraction};
      for (int step = 0; step < format.steps(); ++step) {
        const bool is_exact =
            border(format, step) == significand(1.5) || border(format, step) == significand(2);
        EXPECT_TRUE(is_exact || is_far(border(format, step), kRootBits - 52));
      }
    }
  }
}

}  // namespace
}  // namespace tensorquant
