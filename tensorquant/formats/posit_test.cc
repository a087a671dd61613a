#include "tensorquant/formats/posit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tensorquant/formats/format.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;

// The Standard for Posit Arithmetic (2022), table of posit<6,2>'s first strings, and of posit<3,2>.
TEST(Posit, HasTheValuesOfTheStandard) {
  EXPECT_THAT(values<float>(Posit{.bits = 3}), ElementsAre(-16, -1, -0.0625, 0, 0.0625, 1, 16));
  EXPECT_THAT(values<float>(Posit{.bits = 4, .exponent_bits = 0}),
              ElementsAre(-4, -2, -1.5, -1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.5, 2, 4));
}

TEST(Posit, StringsAreOrderedAsTheirValues) {
  for (const Posit& format : {Posit{.bits = 12}, Posit{.bits = 9, .exponent_bits = 0},
                              Posit{.bits = 5, .exponent_bits = 5}}) {
    double before = 0;
    for (std::uint32_t code = 1; code < 1u << (format.bits - 1); ++code) {
      const double value = posit_value(format, code);
      EXPECT_LT(before, value);
      EXPECT_EQ(nearest_posit(format, value), code);
      before = value;
    }
    EXPECT_EQ(before, format.largest());
  }
}

// The definition: a border is the posit of one bit more, and goes to the even string.
TEST(Posit, RoundsAtThePositsOfOneBitMore) {
  for (int bits = 3; bits <= 14; ++bits) {
    for (int e = 0; (bits - 1) << e <= 126; ++e) {
      const Posit format{bits, e}, longer{bits + 1, e};
      for (std::uint32_t code = 1; code + 1 < 1u << (bits - 1); ++code) {
        const double border = posit_value(longer, 2 * code + 1);
        const std::uint32_t even = code + code % 2;
        EXPECT_EQ(nearest_posit(format, border), even);
        EXPECT_EQ(nearest_posit(format, std::nextafter(border, 0)), code);
        EXPECT_EQ(nearest_posit(format, std::nextafter(border, 1e30 + border)), code + 1);
      }
    }
  }
}

TEST(Posit, NeverRoundsToZeroNorBeyondTheLargest) {
  const Posit posit16;
  EXPECT_SAME_BITS(quantize_reference(posit16, 0x1p-149f), 0x1p-56f);
  EXPECT_SAME_BITS(quantize_reference(posit16, -0x1p-1074), -0x1p-56);
  EXPECT_SAME_BITS(quantize_reference(posit16, std::numeric_limits<float>::max()), 0x1p56f);
  EXPECT_SAME_BITS(quantize_reference(posit16, -0.0f), 0.0f);
  EXPECT_SAME_BITS(quantize_reference(posit16, -std::numeric_limits<float>::infinity()),
                   std::numeric_limits<float>::quiet_NaN());
}

}  // namespace
}  // namespace tensorquant
