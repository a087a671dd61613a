#include "tensorquant/search/accumulator_width.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

// The extreme sums over all inputs whose codes are one of the two ends or 0, by trying them all.
int bits_by_trial(const std::vector<std::int64_t>& row, double bias, CodeRange range) {
  double low = std::min(0.0, bias), high = std::max(0.0, bias);
  std::size_t inputs = 1;
  for (std::size_t i = 0; i < row.size(); ++i) inputs *= 3;
  for (std::size_t code = 0; code < inputs; ++code) {
    double sum = 0;
    std::size_t rest = code;
    for (const std::int64_t weight : row) {
      const double ends[] = {0, range.low, range.high};
      sum += static_cast<double>(weight) * ends[rest % 3];
      rest /= 3;
    }
    low = std::min({low, sum, sum + bias});
    high = std::max({high, sum, sum + bias});
  }
  for (int bits = 1;; ++bits) {
    const double limit = static_cast<double>(std::int64_t{1} << (bits - 1));
    if (low >= -limit && high <= limit - 1) return bits;
  }
}

TEST(WorstCaseBits, AreThoseOfTheExtremeInputs) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<std::int64_t> row(5);
    for (std::int64_t& code : row) code = static_cast<std::int64_t>(random() % 256) - 128;
    const double bias = static_cast<double>(random() % 2000) - 1000;
    const CodeRange range = trial % 2 == 0 ? CodeRange{-128, 127} : CodeRange{0, 255};
    EXPECT_EQ(worst_case_bits(row, 5, std::vector<double>{bias}, range),
              bits_by_trial(row, bias, range));
    EXPECT_EQ(worst_case_bits(row, 5, {}, range), bits_by_trial(row, 0, range));
  }
}

TEST(WorstCaseBits, AreThoseOfTheWidestChannel) {
  const std::vector<std::int64_t> weights = {1, 1, 100, -100};
  EXPECT_EQ(worst_case_bits(weights, 2, {}, {0, 255}), 16);  // -25500 .. 25500
  EXPECT_THROW(worst_case_bits(weights, 3, {}, {0, 255}), Error);
}

TEST(WorstCaseBits, FromFormatsCoverTheWorstWeights) {
  Operand input;
  input.bits = 8;
  // 1 product of -128 and -128: 2^14. 576 products of -128 and 255: -18800640, beyond 2^24.
  EXPECT_EQ(worst_case_bits(1, 8, input), 16);
  input.is_signed = false;
  EXPECT_EQ(worst_case_bits(576, 8, input), 26);
  // 1 product of -1 and 1, of 1 bit each by the formula: -1 .. 1.
  input.bits = 1;
  EXPECT_EQ(worst_case_bits(1, 1, input), 3);
}

}  // namespace
}  // namespace tensorquant
