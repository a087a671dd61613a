#include "tensorquant/formats/floating_point.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/floats.h"

namespace tensorquant {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(FloatingPoint, Binary16IsThatOfTheStandard) {
  const FloatingPoint half{.exponent_bits = 5, .significand_bits = 10};
  EXPECT_SAME_BITS(quantize_reference(half, 0.1f), 0.0999755859375f);
  EXPECT_SAME_BITS(quantize_reference(half, 65504.0f), 65504.0f);
  EXPECT_SAME_BITS(quantize_reference(half, 65519.996f), 65504.0f);
  EXPECT_SAME_BITS(quantize_reference(half, 65520.0f),
                   kInf);  // the tie goes to the even neighbour, 2^16
  EXPECT_SAME_BITS(quantize_reference(half, 0x1p-24f), 0x1p-24f);
  EXPECT_SAME_BITS(quantize_reference(half, 0x1p-25f), 0.0f);
  EXPECT_SAME_BITS(quantize_reference(half, -0x1p-26f), -0.0f);
  EXPECT_SAME_BITS(quantize_reference(half, 0x1.8p-25f), 0x1p-24f);
}

TEST(FloatingPoint, DirectedRoundingsOverflowAsIeee754Says) {
  const auto overflow = [](Rounding rounding, float x) {
    return quantize_reference(
        FloatingPoint{.exponent_bits = 4, .significand_bits = 3, .rounding = rounding}, x);
  };
  EXPECT_SAME_BITS(overflow(Rounding::zero, 1e9f), 240.0f);
  EXPECT_SAME_BITS(overflow(Rounding::zero, -1e9f), -240.0f);
  EXPECT_SAME_BITS(overflow(Rounding::down, 1e9f), 240.0f);
  EXPECT_SAME_BITS(overflow(Rounding::down, -1e9f), -kInf);
  EXPECT_SAME_BITS(overflow(Rounding::up, 1e9f), kInf);
  EXPECT_SAME_BITS(overflow(Rounding::up, -1e9f), -240.0f);
  EXPECT_SAME_BITS(overflow(Rounding::zero, kInf), kInf);
}

TEST(FloatingPoint, SaturatesInfinitiesTooWhenAsked) {
  const FloatingPoint format{
      .exponent_bits = 4, .significand_bits = 3, .overflow = FloatingPoint::Overflow::saturate};
  EXPECT_SAME_BITS(quantize_reference(format, kInf), 240.0f);
  EXPECT_SAME_BITS(quantize_reference(format, -kInf), -240.0f);
  EXPECT_SAME_BITS(quantize_reference(format, 1e9f), 240.0f);
}

TEST(FloatingPoint, OfFloat32sShapeIsTheIdentityOnFloat32) {
  const FloatingPoint single{.exponent_bits = 8, .significand_bits = 23};
  for (float x : interesting_floats<float>()) EXPECT_SAME_BITS(quantize_reference(single, x), x);
  for (float x : random_bit_patterns<float>(100000, 9)) {
    EXPECT_SAME_BITS(quantize_reference(single, x), x);
  }
}

// The hardware's own conversion is the second hand here.
TEST(FloatingPoint, OfFloat32sShapeIsTheConversionFromDoubleToFloat) {
  const FloatingPoint single{.exponent_bits = 8, .significand_bits = 23};
  for (double x : interesting_floats<double>()) {
    if (std::isnan(x)) continue;
    EXPECT_SAME_BITS(quantize_reference(single, x), static_cast<double>(static_cast<float>(x)));
  }
}

}  // namespace
}  // namespace tensorquant
