#include "tensorquant/formats/logarithmic.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/floats.h"

namespace tensorquant {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Logarithmic, TakesTheClosestPowerAndTiesGoUp) {
  EXPECT_SAME_BITS(quantize_reference(Logarithmic{}, 1.49f), 1.0f);
  EXPECT_SAME_BITS(quantize_reference(Logarithmic{}, 1.5f), 2.0f);
  EXPECT_SAME_BITS(quantize_reference(Logarithmic{}, -3.0f), -4.0f);
  EXPECT_SAME_BITS(quantize_reference(Logarithmic{}, -0.0f), -0.0f);
  EXPECT_SAME_BITS(quantize_reference(Logarithmic{}, 3 * 0x1p-149f), 0x1p-147f);
  EXPECT_SAME_BITS(quantize_reference(Logarithmic{}, kInf), 0x1p127f);
  EXPECT_SAME_BITS(quantize_reference(Logarithmic{}, std::numeric_limits<float>::max()), 0x1p127f);
}

TEST(Logarithmic, DownTakesTheExponent) {
  const Logarithmic down{.rounding = Logarithmic::Rounding::down};
  EXPECT_SAME_BITS(quantize_reference(down, 1.99f), 1.0f);
  EXPECT_SAME_BITS(quantize_reference(down, -3.99f), -2.0f);
  EXPECT_SAME_BITS(quantize_reference(down, 3 * 0x1p-149f), 0x1p-148f);
}

TEST(Logarithmic, BoundsItsExponents) {
  const Logarithmic nearest{.min_exponent = -2, .max_exponent = 3};
  EXPECT_SAME_BITS(quantize_reference(nearest, 0.125f), 0.25f);  // half of the smallest
  EXPECT_SAME_BITS(quantize_reference(nearest, -0.1249f), -0.0f);
  EXPECT_SAME_BITS(quantize_reference(nearest, 100.0f), 8.0f);
  const Logarithmic down{
      .rounding = Logarithmic::Rounding::down, .min_exponent = -2, .max_exponent = 3};
  EXPECT_SAME_BITS(quantize_reference(down, 0.2499f), 0.0f);
  EXPECT_SAME_BITS(quantize_reference(down, 0.25f), 0.25f);
}

}  // namespace
}  // namespace tensorquant
