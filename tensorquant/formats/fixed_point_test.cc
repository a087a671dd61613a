#include "tensorquant/formats/fixed_point.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/floats.h"

namespace tensorquant {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(FixedPoint, RoundsToItsGridAndSaturates) {
  const FixedPoint q8_4{.bits = 8, .fraction = 4};  // steps of 1/16 in [-8, 7.9375]
  EXPECT_SAME_BITS(quantize_reference(q8_4, 0.3f), 0.3125f);
  EXPECT_SAME_BITS(quantize_reference(q8_4, 0.03125f), 0.0625f);  // a tie
  EXPECT_SAME_BITS(quantize_reference(q8_4, -0.03125f), -0.0625f);
  EXPECT_SAME_BITS(quantize_reference(q8_4, 100.0f), 7.9375f);
  EXPECT_SAME_BITS(quantize_reference(q8_4, -100.0f), -8.0f);
  EXPECT_SAME_BITS(quantize_reference(q8_4, kInf), 7.9375f);
  EXPECT_SAME_BITS(quantize_reference(q8_4, -kInf), -8.0f);
  EXPECT_SAME_BITS(quantize_reference(q8_4, kNan), kNan);
}

TEST(FixedPoint, HasOneZero) {
  for (Rounding rounding : {Rounding::nearest, Rounding::even, Rounding::zero, Rounding::up}) {
    const FixedPoint format{.bits = 8, .fraction = 4, .rounding = rounding};
    EXPECT_SAME_BITS(quantize_reference(format, -0.0f), 0.0f);
    EXPECT_SAME_BITS(quantize_reference(format, -0.001f), 0.0f);
  }
}

TEST(FixedPoint, WrapsAsTwosComplement) {
  const FixedPoint wrap{.bits = 4, .fraction = 0, .overflow = FixedPoint::Overflow::wrap};
  for (int k = -1000; k <= 1000; ++k) {
    const int low = k & 15;
    EXPECT_SAME_BITS(quantize_reference(wrap, static_cast<float>(k)),
                     static_cast<float>(low < 8 ? low : low - 16));
  }
  EXPECT_SAME_BITS(quantize_reference(wrap, 7.5f), -8.0f);  // rounds to 8 first
  EXPECT_SAME_BITS(quantize_reference(wrap, std::numeric_limits<float>::max()), 0.0f);
  EXPECT_EQ(to_bits(quantize_reference(wrap, kInf)), 0x7FC00000u);
  EXPECT_EQ(to_bits(quantize_reference(wrap, -kNan)), 0x7FC00000u);
}

TEST(FixedPoint, SaturatesAtTheLargestFloatOfTheFormat) {
  const FixedPoint wide{.bits = 32, .fraction = 0};  // 2^31 - 1 is no float32
  EXPECT_SAME_BITS(quantize_reference(wide, 1e20f), 2147483520.0f);
  EXPECT_SAME_BITS(quantize_reference(wide, 2147483520.0f), 2147483520.0f);
  EXPECT_SAME_BITS(quantize_reference(wide, -1e20f), -2147483648.0f);
  EXPECT_SAME_BITS(quantize_reference(wide, 1e20), 2147483647.0);
}

TEST(FixedPoint, RoundsUpWhatIsTooSmallToScale) {
  const FixedPoint up{.bits = 8, .fraction = -64, .rounding = Rounding::up};
  const FixedPoint down{.bits = 8, .fraction = -64, .rounding = Rounding::down};
  const double tiny = std::numeric_limits<double>::denorm_min();
  EXPECT_SAME_BITS(quantize_reference(up, tiny), 0x1p64);
  EXPECT_SAME_BITS(quantize_reference(up, -tiny), 0.0);
  EXPECT_SAME_BITS(quantize_reference(down, -tiny), -0x1p64);
  EXPECT_SAME_BITS(quantize_reference(down, tiny), 0.0);
}

TEST(FixedPoint, OfOneBitIsMinusOneOrZero) {
  const FixedPoint bit{.bits = 1, .fraction = 0};
  EXPECT_SAME_BITS(quantize_reference(bit, -0.5f), -1.0f);
  EXPECT_SAME_BITS(quantize_reference(bit, -0.4f), 0.0f);
  EXPECT_SAME_BITS(quantize_reference(bit, 3.0f), 0.0f);
}

}  // namespace
}  // namespace tensorquant
