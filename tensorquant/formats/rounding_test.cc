#include "tensorquant/formats/rounding.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tensorquant {
namespace {

struct Row {
  double t;
  double nearest, even, zero, down, up;
};

// The table of roundings in IEEE 754-2019 section 4.3, at ties and between.
constexpr Row kRows[] = {
    {2.5, 3, 2, 2, 2, 3},
    {3.5, 4, 4, 3, 3, 4},
    {-2.5, -3, -2, -2, -3, -2},
    {-3.5, -4, -4, -3, -4, -3},
    {2.4, 2, 2, 2, 2, 3},
    {2.6, 3, 3, 2, 2, 3},
    {-2.4, -2, -2, -2, -3, -2},
    {-2.6, -3, -3, -2, -3, -2},
    {0.5, 1, 0, 0, 0, 1},
    {-0.5, -1, 0, 0, -1, 0},
    {7, 7, 7, 7, 7, 7},
    {-7, -7, -7, -7, -7, -7},
    {0x1p-100, 0, 0, 0, 0, 1},
    {-0x1p-100, 0, 0, 0, -1, 0},
    {0.49999999999999994, 0, 0, 0, 0, 1},
    {4503599627370495.5, 4503599627370496, 4503599627370496, 4503599627370495, 4503599627370495,
     4503599627370496},
};

TEST(Rounding, FollowsTheTable) {
  for (const Row& row : kRows) {
    EXPECT_EQ(round_reference(row.t, Rounding::nearest), row.nearest) << row.t;
    EXPECT_EQ(round_reference(row.t, Rounding::even), row.even) << row.t;
    EXPECT_EQ(round_reference(row.t, Rounding::zero), row.zero) << row.t;
    EXPECT_EQ(round_reference(row.t, Rounding::down), row.down) << row.t;
    EXPECT_EQ(round_reference(row.t, Rounding::up), row.up) << row.t;
  }
}

double stochastic(double t, std::uint32_t word, int bits = 0) {
  return round_reference(t, Rounding::stochastic, {word, bits});
}

TEST(StochasticRounding, GoesUpWhereTheRandomNumberIsBelowTheDistance) {
  // 2.25 goes up for u < 1/4, that is for words below 2^30.
  EXPECT_EQ(stochastic(2.25, 0), 3);
  EXPECT_EQ(stochastic(2.25, (1u << 30) - 1), 3);
  EXPECT_EQ(stochastic(2.25, 1u << 30), 2);
  EXPECT_EQ(stochastic(2.25, 0xFFFFFFFF), 2);
  // -2.25 lies 3/4 above -3.
  EXPECT_EQ(stochastic(-2.25, 0), -2);
  EXPECT_EQ(stochastic(-2.25, 3u << 30), -3);
  EXPECT_EQ(stochastic(-2.25, (3u << 30) - 1), -2);
}

TEST(StochasticRounding, NeverMovesAnInteger) {
  for (double t : {-3.0, 0.0, 5.0, 0x1p40, -0x1p60}) {
    for (std::uint32_t word : {0u, 1u, 0x80000000u, 0xFFFFFFFFu}) {
      for (int bits : {0, 1, 16, 24}) EXPECT_EQ(stochastic(t, word, bits), t);
    }
  }
}

TEST(StochasticRounding, IsExactJustBesideAnInteger) {
  // A distance of 2^-200 is above u = 0 alone, one of 1 - 2^-200 above all u.
  EXPECT_EQ(stochastic(0x1p-200, 0), 1);
  EXPECT_EQ(stochastic(0x1p-200, 1u << 8), 0);
  EXPECT_EQ(stochastic(-0x1p-200, 0xFFFFFFFF), 0);
}

TEST(StochasticRounding, CutsTheDistanceToTheBitsOfTheHardware) {
  // Two bits: 0.3 is cut to 1/4, so that one of four draws goes up; 0.2 to 0.
  EXPECT_EQ(stochastic(0.3, 0u << 30, 2), 1);
  EXPECT_EQ(stochastic(0.3, 1u << 30, 2), 0);
  EXPECT_EQ(stochastic(0.2, 0, 2), 0);
  // -0.1 lies 0.9 above -1, cut to 3/4.
  EXPECT_EQ(stochastic(-0.1, 2u << 30, 2), 0);
  EXPECT_EQ(stochastic(-0.1, 3u << 30, 2), -1);
  EXPECT_EQ(stochastic(-0x1p-200, 3u << 30, 2), -1);
}

}  // namespace
}  // namespace tensorquant
