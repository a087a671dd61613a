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
  const auto bits = [](std::int64_t terms, const char* weight, const char* input) {
    return worst_case_bits(terms, operand_of(make_quantizer(weight).get()),
                           operand_of(make_quantizer(input).get()));
  };
  // 1 product of -128 and -128: 2^14. 576 products of -128 and 255: -18800640, beyond 2^24.
  EXPECT_EQ(bits(1, "nearest,8,0", "nearest,8,0"), 16);
  EXPECT_EQ(bits(576, "nearest,8,0", "nearest,8,0,unsigned"), 26);
  EXPECT_EQ(bits(576, "int,8,per=channel,scale=max", "nearest,8,0,unsigned"), 26);
  // 576 products of 255 and 255: 37454400, beyond 2^25.
  EXPECT_EQ(bits(576, "nearest,8,0,unsigned", "nearest,8,0,unsigned"), 27);
  EXPECT_EQ(bits(1, "binary", "nearest,1,0,unsigned"), 3);
  // 2^50 takes the bit that 2^50 - 1 would not need.
  EXPECT_EQ(bits(1, "nearest,26,0", "nearest,26,0"), 52);
  EXPECT_EQ(bits(1, "nearest,33,0", "nearest,33,0"), 66);
}

TEST(WorstCaseBits, AreNotToldWhereProductsAreNoWholeNumbersOfOneUnit) {
  const Operand fixed = operand_of(make_quantizer("nearest,8,4").get());
  for (const char* const spec : {"logarithmic,max=3,min=-3", "apot,4,unsigned", "float,4,3", "none",
                                 "int,8,scale=0.1,zero=3", "int,8,block=16,scale=max"}) {
    const Operand other = operand_of(make_quantizer(spec).get());
    EXPECT_EQ(worst_case_bits(9, fixed, other), std::nullopt) << spec;
    EXPECT_EQ(worst_case_bits(9, other, fixed), std::nullopt) << spec;
  }
  const Operand channels = operand_of(make_quantizer("int,8,per=channel,scale=max").get());
  EXPECT_EQ(worst_case_bits(9, fixed, channels), std::nullopt);
}

}  // namespace
}  // namespace tensorquant
