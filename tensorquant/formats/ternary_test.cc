#include "tensorquant/formats/ternary.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tensorquant/formats/binary.h"
#include "tensorquant/formats/sparse.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Ternary, ThresholdIsSevenTenthsOfTheMeanMagnitudeOfFiniteElements) {
  const std::vector<float> x = {1, -2, 3, kInf, kNan, -2};
  EXPECT_SAME_BITS(ternary_threshold_reference(std::span<const float>(x)), 0.7 * 8.0 / 4.0);
  const std::vector<float> none = {kInf, kNan};
  EXPECT_SAME_BITS(ternary_threshold_reference(std::span<const float>(none)), 0.0);
  EXPECT_SAME_BITS(ternary_threshold_reference(std::span<const float>()), 0.0);
}

TEST(Ternary, LeavesTheThresholdItselfAtZero) {
  const Ternary format{.magnitude = 2};
  EXPECT_SAME_BITS(quantize_reference(format, 0.5f, 0.5), 0.0f);
  EXPECT_SAME_BITS(quantize_reference(format, -0.5f, 0.5), 0.0f);
  EXPECT_SAME_BITS(quantize_reference(format, std::nextafter(0.5f, 1.0f), 0.5), 2.0f);
  EXPECT_SAME_BITS(quantize_reference(format, -kInf, 0.5), -2.0f);
  EXPECT_SAME_BITS(quantize_reference(format, kNan, 0.5), kNan);
}

TEST(Binary, CountsBothZerosAsPositive) {
  EXPECT_SAME_BITS(quantize_reference(Binary{}, 0.0f), 1.0f);
  EXPECT_SAME_BITS(quantize_reference(Binary{}, -0.0f), 1.0f);
  EXPECT_SAME_BITS(quantize_reference(Binary{0.25}, -1e-40f), -0.25f);
  EXPECT_SAME_BITS(quantize_reference(Binary{}, kNan), kNan);
}

TEST(Sparse, KeepsTheThresholdItself) {
  EXPECT_SAME_BITS(quantize_reference(Sparse{0.1}, 0.1f),
                   0.1f);  // 0.1 rounded to float32 is the threshold
  EXPECT_SAME_BITS(quantize_reference(Sparse{0.1}, std::nextafter(-0.1f, 0.0f)), 0.0f);
  EXPECT_SAME_BITS(quantize_reference(Sparse{0}, -0.0f), -0.0f);
  EXPECT_SAME_BITS(quantize_reference(Sparse{0.1}, kNan), kNan);
}

}  // namespace
}  // namespace tensorquant
