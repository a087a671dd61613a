#include "tensorquant/calibration/counters.h"

#include <gtest/gtest.h>

#include <map>

#include "tensorquant/calibration/test_values.h"

namespace tensorquant {
namespace {

TEST(Counters, CountTheUpperBitsOfFiniteNumbers) {
  std::map<std::uint16_t, std::uint64_t> wanted;
  for (const float x : finite_values()) ++wanted[static_cast<std::uint16_t>(to_bits(x) >> 16)];
  Counters counters;
  counters.add(std::span<const float>(many_values()));
  for (std::uint32_t upper = 0; upper < 65536; ++upper) {
    const auto index = static_cast<std::uint16_t>(upper);
    ASSERT_EQ(counters[index], wanted.contains(index) ? wanted[index] : 0) << upper;
  }
  EXPECT_EQ(counters.summary().finite, finite_values().size());
}

TEST(Counters, AreAFunctionOfTheNumbers) { expect_a_function_of_the_numbers(Counters()); }

TEST(Counters, AscendInTheOrderOfTheirNumbersAndLeaveNoneOut) {
  Counters counters;
  counters.add(std::span<const float>(many_values()));
  const std::vector<Counter> ascending = counters.ascending();
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    sum += ascending[i].count;
    EXPECT_GT(ascending[i].count, 0u);
    if (i > 0) {
      ASSERT_LT(ascending[i - 1].middle(), ascending[i].middle()) << i;
    }
  }
  EXPECT_EQ(sum, counters.summary().finite);
}

TEST(ACounter, HasItsEndsAndItsMiddle) {
  const Counter one{0x3F80, 1}, minus_two{0xC000, 1};
  EXPECT_EQ(one.smallest(), 1.0f);
  EXPECT_EQ(one.middle(), 1.0f + 0x1p-8f);
  EXPECT_EQ(one.largest(), 1.0f + 0x1p-7f - 0x1p-23f);
  EXPECT_FALSE(one.is_negative());
  EXPECT_EQ(minus_two.smallest(), -2.0f);
  EXPECT_EQ(minus_two.middle(), -2.0f - 0x1p-7f);
  EXPECT_EQ(minus_two.largest(), -2.0f - 0x1p-6f + 0x1p-22f);
  EXPECT_TRUE(minus_two.is_negative());
}

}  // namespace
}  // namespace tensorquant
