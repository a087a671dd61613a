#include "tensorquant/formats/p3109.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tensorquant/formats/floating_point.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
constexpr float kInf = std::numeric_limits<float>::infinity();

// The largest and smallest values in the value tables of the interim report.
TEST(P3109, HasTheEndsOfTheReport) {
  EXPECT_EQ(facts<float>(P3109{.bits = 8, .precision = 3}).highest, 49152);
  EXPECT_EQ(facts<float>(P3109{.bits = 8, .precision = 4}).highest, 224);
  EXPECT_EQ(facts<float>(P3109{.bits = 8, .precision = 4}).smallest_positive, 0x1p-10);
  EXPECT_EQ(facts<float>(P3109{.bits = 8, .precision = 1}).highest, 0x1p62);
  EXPECT_EQ(facts<float>(P3109{.bits = 8, .precision = 3}).count, 253u);
  EXPECT_THAT(values<float>(P3109{.bits = 3, .precision = 2}), ElementsAre(-1, -0.5, 0, 0.5, 1));
  EXPECT_THAT(values<float>(P3109{.bits = 3, .precision = 1, .is_unsigned = true}),
              ElementsAre(0, 0.125, 0.25, 0.5, 1, 2));
}

TEST(P3109, InTheFiniteDomainHasTheValuesOfFnuz) {
  EXPECT_EQ(
      values<float>(P3109{.bits = 8, .precision = 4, .domain = P3109::Domain::finite}),
      values<float>(FloatingPoint{
          .exponent_bits = 4, .significand_bits = 3, .special = FloatingPoint::Special::fnuz}));
}

// With one bit of precision, 2^e has the code e + 32 in 7 bits: even where e is.
TEST(P3109, OfOneBitRoundsTiesToTheEvenExponentsCode) {
  const P3109 even{.bits = 7, .precision = 1};
  EXPECT_SAME_BITS(quantize_reference(even, 1.5f), 1.0f);
  EXPECT_SAME_BITS(quantize_reference(even, 3.0f), 4.0f);
  EXPECT_SAME_BITS(quantize_reference(even, -0.75f), -1.0f);
  EXPECT_SAME_BITS(quantize_reference(even, 0x1p-32f), 0.0f);
  const P3109 odd{.bits = 7, .precision = 1, .rounding = Rounding::odd};
  EXPECT_SAME_BITS(quantize_reference(odd, 1.01f), 2.0f);
  EXPECT_SAME_BITS(quantize_reference(odd, 3.99f), 2.0f);
  EXPECT_SAME_BITS(quantize_reference(odd, 4.0f), 4.0f);
}

TEST(P3109, WithoutASignTakesNoNegativeNumbers) {
  P3109 format{.bits = 8, .precision = 3, .is_unsigned = true};
  EXPECT_TRUE(std::isnan(quantize_reference(format, -1.0f)));
  EXPECT_TRUE(std::isnan(quantize_reference(format, -kInf)));
  EXPECT_SAME_BITS(quantize_reference(format, -0x1p-100f), 0.0f);
  format.overflow = P3109::Overflow::saturate;
  EXPECT_SAME_BITS(quantize_reference(format, -1.0f), 0.0f);
  EXPECT_SAME_BITS(quantize_reference(format, kInf), static_cast<float>(format.largest()));
}

}  // namespace
}  // namespace tensorquant
