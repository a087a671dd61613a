#include "tensorquant/calibration/range.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

TEST(FractionFor, IsTheFinestGridThatCoversTheRange) {
  EXPECT_EQ(fraction_for(8, {0, 127}), 0);
  EXPECT_EQ(fraction_for(8, {0, 127.4}), 0);
  EXPECT_EQ(fraction_for(8, {0, 127.5}), -1);  // rounds to 128
  EXPECT_EQ(fraction_for(8, {-128, 0}), 0);
  EXPECT_EQ(fraction_for(8, {-1, 0.5}), 7);
  EXPECT_EQ(fraction_for(8, {-0.5, 1}), 6);
  EXPECT_EQ(fraction_for(1, {-1, 0}), 0);
  EXPECT_EQ(fraction_for(16, {0, 1e30}), -64);
  EXPECT_EQ(fraction_for(16, {0, 1e-30}), 64);
  EXPECT_EQ(fraction_for(8, {0, 0}), 7);
}

TEST(FractionFor, CoversEveryRangeAndOneBitMoreWouldNot) {
  for (int bits = 2; bits <= 32; ++bits) {
    for (const double x : {1e-6, 0.1, 0.75, 1.0, 3.14159, 100.0, 12345.678}) {
      const int fraction = fraction_for(bits, {-x / 2, x});
      const double limit = std::ldexp(1, bits - 1) - 1;
      EXPECT_LE(std::round(std::ldexp(x, fraction)), limit) << bits << ' ' << x;
      EXPECT_GT(std::round(std::ldexp(x, fraction + 1)), limit) << bits << ' ' << x;
    }
  }
}

TEST(ValueRange, RefusesWhatIsNotFinite) {
  ValueRange range;
  range.include(-2, 5, "x");
  EXPECT_EQ(range.low, -2);
  EXPECT_EQ(range.high, 5);
  try {
    range.include(1, NAN, "conv.weight");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "conv.weight has values that are not finite: no fixed-point format covers them");
  }
  EXPECT_EQ(range.high, 5);
}

TEST(FinestFixedPoint, IsNoneForNoValue) {
  EXPECT_EQ(finest_fixed_point(8, {}), nullptr);
  EXPECT_EQ(finest_fixed_point(8, {-1, 0.5})->spec(), "nearest,8,7");
}

}  // namespace
}  // namespace tensorquant
