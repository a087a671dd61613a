#include "tensorquant/search/operand.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace tensorquant {
namespace {

struct Expected {
  const char* spec;
  int bits;
  double stored_bits;
  bool is_float, multiplies;
  std::optional<int> magnitude_bits;
};

TEST(Operand, HasTheWidthOfItsFormat) {
  const auto none = std::nullopt;
  const std::vector<Expected> table = {{"nearest,6,3", 6, 6, false, true, 5},
                                       {"nearest,6,3,unsigned", 6, 6, false, true, 6},
                                       {"float,4,3", 8, 8, true, true, none},
                                       {"binary", 1, 1, false, false, 0},
                                       {"ternary,0.5", 2, 2, false, false, 0},
                                       {"logarithmic,max=3,min=-3", 4, 4, false, false, none},
                                       {"int,8,scale=max", 8, 8, false, true, 7},
                                       {"int,8,scale=0.1,zero=3", 8, 8, false, true, none},
                                       {"mxfp4", 4, 4.25, true, true, none},
                                       {"none", 32, 32, true, true, none}};
  for (const Expected& expected : table) {
    const Operand operand = operand_of(make_quantizer(expected.spec).get());
    EXPECT_EQ(operand.bits, expected.bits) << expected.spec;
    EXPECT_EQ(operand.stored_bits, expected.stored_bits) << expected.spec;
    EXPECT_EQ(operand.is_float, expected.is_float) << expected.spec;
    EXPECT_EQ(operand.multiplies, expected.multiplies) << expected.spec;
    EXPECT_EQ(operand.magnitude_bits, expected.magnitude_bits) << expected.spec;
  }
  EXPECT_EQ(operand_of(nullptr), Operand{});
}

TEST(CodeCounts, SpanFromTheHighestToTheLowestSetBit) {
  const auto quantizer = make_quantizer("nearest,8,4");
  // Codes 0, 1, -2, 5 = 101, 12 = 1100, -7 = 111.
  const std::vector<float> values = {0, 1 / 16.F, -2 / 16.F, 5 / 16.F, 12 / 16.F, -7 / 16.F};
  const auto counts = count_codes(quantizer.get(), values);
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->zeros, 1U);
  EXPECT_EQ(counts->span_bits, 1U + 1 + 3 + 2 + 3);
}

TEST(CodeCounts, AreThoseOfTheCodesUnderAGivenScaleAndUnknownUnderAFoundOne) {
  const float scale = 0.1F;
  const std::vector<float> values = {0, scale, 5 * scale, -12 * scale};
  const auto counts = count_codes(make_quantizer("int,8,scale=0.1").get(), values);
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->zeros, 1U);
  EXPECT_EQ(counts->span_bits, 1U + 3 + 2);
  EXPECT_FALSE(count_codes(make_quantizer("int,8,scale=max").get(), values));
  EXPECT_EQ(
      count_codes(make_quantizer("ternary,0.3").get(), std::vector{0.3F, 0.F, -0.3F})->span_bits,
      2U);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(count_codes(nullptr, std::vector{1.F, infinity}));
}

}  // namespace
}  // namespace tensorquant
