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

// Within a unit of the last place of the exact threshold, by Python's fractions.
TEST(Ternary, ThresholdIsFiniteWhereTheSumIsNot) {
  const double largest = std::numeric_limits<double>::max();
  const auto threshold = [](const std::vector<double>& x) {
    return ternary_threshold_reference(std::span<const double>(x));
  };
  EXPECT_SAME_BITS(threshold({1.7e308, -1.7e308, 1e300}), 0x1.c3e5cd94b87d4p+1022);
  EXPECT_SAME_BITS(threshold({largest, largest, largest, -largest, largest}),
                   0x1.6666666666665p+1023);
  EXPECT_SAME_BITS(threshold({largest, 5e-324, largest, 5e-324}), 0x1.6666666666665p+1022);
  EXPECT_SAME_BITS(threshold(std::vector<double>(100000, largest)), 0x1.6666666666665p+1023);
}

// 0.7 times the least subnormal is no double; it rounds to that subnormal, which is not above it.
TEST(Ternary, ThresholdOfSubnormalsIsRoundedToOne) {
  const auto threshold = [](const std::vector<double>& x) {
    return ternary_threshold_reference(std::span<const double>(x));
  };
  EXPECT_SAME_BITS(threshold({5e-324, 5e-324, 5e-324}), 5e-324);
  EXPECT_SAME_BITS(threshold({5e-324, 15e-324, -40e-324}), 15e-324);  // 0.7 * 4 units: 3 units
  const Ternary format;
  EXPECT_SAME_BITS(quantize_reference(format, 5e-324, threshold({5e-324, 5e-324, 5e-324})), 0.0);
  EXPECT_SAME_BITS(quantize_reference(format, 1e-45f, 0.7 * double{1e-45f}), 1.0f);
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
