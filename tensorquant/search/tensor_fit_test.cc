#include "tensorquant/search/tensor_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace tensorquant {
namespace {

TEST(FixedPointCandidates, AreThatWhichCoversTheRangeAndThreeFinerOnes) {
  const ValueRange range = {-1, 0.75};
  std::vector<std::string> specs;
  for (const auto& candidate : fixed_point_candidates(4, range)) specs.push_back(candidate->spec());
  EXPECT_THAT(specs,
              testing::ElementsAre("nearest,4,3", "nearest,4,4", "nearest,4,5", "nearest,4,6"));
}

// The error in units of 2^-12, by whole numbers: x is a multiple of 2^-6.
std::int64_t exact_error(int bits, int fraction, std::span<const float> x) {
  const std::int64_t high = (std::int64_t{1} << (bits - 1)) - 1, low = -high - 1;
  std::int64_t sum = 0;
  for (const float value : x) {
    const auto code = static_cast<std::int64_t>(value * 64);
    const std::int64_t step = std::int64_t{1} << (6 - fraction);
    // The nearest multiple of the step, ties away from zero.
    const std::int64_t magnitude = (2 * std::abs(code) + step) / (2 * step);
    const std::int64_t rounded = std::clamp(code < 0 ? -magnitude : magnitude, low, high) * step;
    sum += (rounded - code) * (rounded - code);
  }
  return sum;
}

TEST(SquaredError, IsThatOfWholeNumbers) {
  std::mt19937 random(4);
  std::vector<float> x(1000);
  for (float& value : x) value = static_cast<float>(static_cast<int>(random() % 257) - 128) / 64;
  for (int bits = 2; bits <= 6; ++bits) {
    for (int fraction = 0; fraction <= 6; ++fraction) {
      const auto quantizer =
          make_quantizer("nearest," + std::to_string(bits) + "," + std::to_string(fraction));
      EXPECT_EQ(squared_error(*quantizer, x) * 4096,
                static_cast<double>(exact_error(bits, fraction, x)))
          << bits << ' ' << fraction;
    }
  }
}

TEST(TensorFit, CountsPartsAsOneTensor) {
  const auto quantizer = make_quantizer("nearest,4,1");  // -4 .. 3.5 by halves
  TensorFit fit;
  fit.add(*quantizer, std::vector<float>{0, 0.125F, 1.25F, 5});
  fit.add(*quantizer, std::vector<float>{-0.5F, 0.75F});
  // Errors 1/8, 1/4 (1.25 becomes 1.5), 3/2 and 1/4 (0.75 becomes 1).
  EXPECT_EQ(fit.error, 1.0 / 64 + 1.0 / 16 + 2.25 + 1.0 / 16);
  EXPECT_EQ(fit.power, 1.0 / 64 + 25.0 / 16 + 25 + 0.25 + 0.5625);
  EXPECT_EQ(fit.noise(), fit.error / fit.power);
  EXPECT_DOUBLE_EQ(*fit.sqnr(), -10 * std::log10(fit.error / fit.power));
  EXPECT_EQ(fit.counts.saturated, 1U);
  EXPECT_EQ(fit.counts.became_zero, 1U);
  EXPECT_EQ(fit.counts.nonzero, 5U);
  EXPECT_EQ(fit.idle_bits(*quantizer), 0);
}

TEST(TensorFit, TellsBitsThatNothingUsesAndNothingOfTensorsOfZeros) {
  const auto quantizer = make_quantizer("nearest,8,1");  // up to 63.5
  TensorFit fit;
  fit.add(*quantizer, std::vector<float>{7, 1});
  EXPECT_EQ(fit.idle_bits(*quantizer), 3);  // 63.5 / 7 = 9.1
  EXPECT_EQ(fit.sqnr(), std::nullopt);
  TensorFit zeros;
  zeros.add(*quantizer, std::vector<float>{0, 0});
  EXPECT_EQ(zeros.noise(), std::nullopt);
  EXPECT_EQ(zeros.idle_bits(*quantizer), std::nullopt);
}

}  // namespace
}  // namespace tensorquant
