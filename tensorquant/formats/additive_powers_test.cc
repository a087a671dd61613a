#include "tensorquant/formats/additive_powers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/floats.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;

// arXiv:1909.13144, equation 5: 4 bits are {0, 1, 1/4, 1/16} + {0, 1/2, 1/8, 1/32}.
TEST(AdditivePowers, AreTheSumsOfThePaper) {
  EXPECT_THAT(values<float>(AdditivePowers{3, false}),
              ElementsAre(-1, -0.5, -0.25, 0, 0.25, 0.5, 1));
  EXPECT_THAT(values<float>(AdditivePowers{4, true}),
              ElementsAre(0, 0.03125, 0.0625, 0.09375, 0.125, 0.1875, 0.25, 0.28125, 0.375, 0.5,
                          0.5625, 0.75, 1, 1.03125, 1.125, 1.5));
  EXPECT_EQ((values<float>(AdditivePowers{7, false}).size()), 127u);
}

TEST(AdditivePowers, GiveTiesToTheSmallerMagnitude) {
  const AdditivePowers format{5, false};
  EXPECT_SAME_BITS(quantize_reference(format, 1.3125f), 1.125f);
  EXPECT_SAME_BITS(quantize_reference(format, -1.3125f), -1.125f);
  EXPECT_SAME_BITS(quantize_reference(format, std::nextafter(1.3125f, 2.0f)), 1.5f);
  EXPECT_SAME_BITS(quantize_reference(format, -0x1p-6f), 0.0f);
  EXPECT_SAME_BITS(quantize_reference(format, -std::numeric_limits<float>::infinity()), -1.5f);
  EXPECT_SAME_BITS(quantize_reference(AdditivePowers{4, true}, -1.0f), 0.0f);
}

}  // namespace
}  // namespace tensorquant
