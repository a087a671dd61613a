#include "tensorquant/calibration/percentile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/calibration/test_values.h"

namespace tensorquant {
namespace {

Counters counters_of(const std::vector<float>& values) {
  Counters counters;
  counters.add(std::span<const float>(values));
  return counters;
}

// The number with the largest or smallest magnitude that shares its counter with x.
float filled(float x) { return from_bits<float>(to_bits(x) | 0xFFFF); }
float emptied(float x) { return from_bits<float>(to_bits(x) & 0xFFFF0000); }

// 1, 2, ..., n: integers to 256 have counters of their own.
std::vector<float> integers(int n) {
  std::vector<float> values;
  for (int i = 1; i <= n; ++i) values.push_back(static_cast<float>(i));
  return values;
}

TEST(PercentileAmax, IsTheUpperEndOfTheCounterOfThatRank) {
  const Counters counters = counters_of(integers(200));
  EXPECT_SAME_BITS(percentile_amax(counters, 50), filled(100));
  EXPECT_SAME_BITS(percentile_amax(counters, 50.0000001), filled(101));
  EXPECT_SAME_BITS(percentile_amax(counters, 49.9999999), filled(100));
  EXPECT_SAME_BITS(percentile_amax(counters, 99.5), filled(199));
  EXPECT_SAME_BITS(percentile_amax(counters, 99.6), 200.0f);  // not beyond the largest
  EXPECT_SAME_BITS(percentile_amax(counters, 0.0000001), filled(1));
}

TEST(PercentileAmax, IsThatOfSortedMagnitudes) {
  std::vector<float> values = finite_values();
  const Counters counters = counters_of(values);
  std::sort(values.begin(), values.end(),
            [](float a, float b) { return std::abs(a) < std::abs(b); });
  for (const int percent : {1, 10, 50, 77, 99, 100}) {
    const std::size_t rank = (values.size() * static_cast<std::size_t>(percent) + 99) / 100;
    const float wanted = std::min(filled(std::abs(values[rank - 1])), std::abs(values.back()));
    EXPECT_SAME_BITS(percentile_amax(counters, percent), wanted) << percent;
  }
}

// In doubles 99.9 / 100 * 3000 is a little more than 2997, the rank that is meant.
TEST(PercentileAmax, HasExactRanks) {
  for (int n = 10; n <= 250; n += 10) {
    const Counters counters = counters_of(integers(n));
    for (int tenth = 1; tenth <= 999; ++tenth) {
      const int rank = (n * tenth + 999) / 1000;
      const float wanted = std::min(filled(static_cast<float>(rank)), static_cast<float>(n));
      ASSERT_TRUE(same_bits(percentile_amax(counters, tenth / 10.0), wanted)) << n << ' ' << tenth;
    }
  }
}

TEST(PercentileRange, CutsHalfOfTheRestAtEachEndOutwards) {
  std::vector<float> values = integers(100);
  for (const float x : integers(100)) values.push_back(-x);
  const Counters counters = counters_of(values);
  const auto expect = [&](double percent, float low, float high) {
    const ValueRange range = percentile_range(counters, percent);
    EXPECT_SAME_BITS(range.low, double{low}) << percent;
    EXPECT_SAME_BITS(range.high, double{high}) << percent;
  };
  expect(100, -100, 100);
  expect(99.1, -100, 100);  // 0.9 of a number at each end
  expect(99, filled(-99), filled(99));
  expect(90, filled(-90), filled(90));
  expect(0.5, filled(-1), filled(1));
}

TEST(PercentileRange, EndsOutwardsOfNumbersOfOneSign) {
  std::vector<float> values = integers(200);
  for (float& x : values) x += 0.3f;
  const ValueRange positive = percentile_range(counters_of(values), 98);
  EXPECT_SAME_BITS(positive.low, double{emptied(3.3f)});
  EXPECT_SAME_BITS(positive.high, double{filled(198.3f)});
  for (float& x : values) x = -x;
  const ValueRange negative = percentile_range(counters_of(values), 98);
  EXPECT_SAME_BITS(negative.low, -positive.high);
  EXPECT_SAME_BITS(negative.high, -positive.low);
  const ValueRange exact = percentile_range(counters_of(values), 100);
  EXPECT_SAME_BITS(exact.low, double{-200.3f});
  EXPECT_SAME_BITS(exact.high, double{-1.3f});
}

TEST(Percentiles, AreDefinedForFewAndForOddNumbers) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  const float largest = std::numeric_limits<float>::max();
  EXPECT_SAME_BITS(percentile_amax(counters_of({}), 50), 0.0f);
  EXPECT_TRUE(percentile_range(counters_of({NAN, INFINITY}), 50).empty());
  for (const float x : {0.0f, tiny, 1.0f, largest, -1.0f, -tiny, -largest}) {
    for (const double percent : {0.1, 50.0, 100.0}) {
      EXPECT_SAME_BITS(percentile_amax(counters_of({x}), percent), std::abs(x));
      EXPECT_SAME_BITS(percentile_range(counters_of({x}), percent).low, double{x});
      EXPECT_SAME_BITS(percentile_range(counters_of({x}), percent).high, double{x});
    }
  }
  EXPECT_SAME_BITS(percentile_range(counters_of({-0.0f}), 50).low, 0.0);
  EXPECT_SAME_BITS(percentile_range(counters_of({-0.0f}), 50).high, 0.0);
}

TEST(Percentiles, AreDecimalsInRange) {
  const Counters counters = counters_of({1});
  for (const double percent : {0.0, -1.0, 100.0000001, 33.33333333, HUGE_VAL, double{NAN}}) {
    EXPECT_THROW(percentile_amax(counters, percent), Error) << percent;
    EXPECT_THROW(percentile_range(counters, percent), Error) << percent;
  }
  try {
    percentile_amax(counters, 101);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "a percentile has to be in (0, 100] with at most 7 decimals, not 101");
  }
}

}  // namespace
}  // namespace tensorquant
