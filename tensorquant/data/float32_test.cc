#include "tensorquant/data/float32.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;

std::vector<std::uint16_t> all_of_16_bits() {
  std::vector<std::uint16_t> bits(1 << 16);
  std::iota(bits.begin(), bits.end(), std::uint16_t{0});
  return bits;
}

// Every one of the 65536 numbers of a 16-bit type by the definition of IEEE 754:
// (-1)^sign * significand * 2^exponent, in exact double arithmetic.
void expect_every_number(DType dtype, int exponent_bits, int fraction_bits) {
  const std::vector<std::uint16_t> bits = all_of_16_bits();
  const Float32 result =
      to_float32(make_array(dtype, {bits.size()}, std::as_bytes(std::span(bits))));
  EXPECT_EQ(result.rounded, 0U);
  const std::span<const float> values = result.array.as<float>();
  ASSERT_EQ(values.size(), bits.size());
  const int top = (1 << exponent_bits) - 1, bias = top / 2;
  for (const std::uint16_t b : bits) {
    const int exponent = b >> fraction_bits & top, fraction = b & ((1 << fraction_bits) - 1);
    const double sign = b >> 15 != 0 ? -1 : 1;
    if (exponent == top && fraction != 0) {
      EXPECT_TRUE(std::isnan(values[b])) << b;
      continue;
    }
    const int significand = exponent == 0 ? fraction : (1 << fraction_bits) + fraction;
    const double value =
        exponent == top ? std::numeric_limits<double>::infinity()
                        : std::ldexp(significand, std::max(exponent, 1) - bias - fraction_bits);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(static_cast<double>(values[b])),
              std::bit_cast<std::uint64_t>(sign * value))
        << b;
  }
}

TEST(ToFloat32, HasEveryNumberOfBinary16) { expect_every_number(DType::f16, 5, 10); }

TEST(ToFloat32, HasEveryNumberOfBfloat16) { expect_every_number(DType::bf16, 8, 7); }

TEST(ToFloat32, RoundsFloat64ToNearestEvenAndCounts) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> x = {1,
                                 0.1,                       // rounded
                                 1 + 0x1p-24,               // a tie, to the even 1
                                 1 + 0x3p-24,               // a tie, to the even 1 + 2^-22
                                 -(1 + 0x1p-24 + 0x1p-52),  // just beyond a tie
                                 0x1p-149,
                                 0x1p-150,        // a tie, to zero
                                 0x1.ffffffp127,  // a tie, to infinity
                                 inf,
                                 -0.0};
  const Float32 result = to_float32(make_array<double>({10}, x));
  EXPECT_EQ(result.array.shape, Shape{10});
  EXPECT_THAT(result.array.as<float>(),
              ElementsAre(1, 0x1.99999ap-4F, 1, 0x1.000004p0F, -0x1.000002p0F, 0x1p-149F, 0,
                          static_cast<float>(inf), static_cast<float>(inf), 0));
  EXPECT_TRUE(std::signbit(result.array.as<float>()[9]));
  EXPECT_EQ(result.rounded, 6U);
}

TEST(ToFloat32, LeavesNaNUncountedAndFloat32AsItIs) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Float32 result = to_float32(make_array<double>({1}, std::vector<double>{nan}));
  EXPECT_TRUE(std::isnan(result.array.as<float>()[0]));
  EXPECT_EQ(result.rounded, 0U);
  const Array same = make_array<float>({2}, std::vector<float>{0.1F, -0.0F});
  EXPECT_EQ(to_float32(same).array.bytes, same.bytes);
  EXPECT_EQ(error_of([] {
              to_float32(Array{DType::i32, {0}, {}});
            }),
            "an array of i32 is not made float32");
}

}  // namespace
}  // namespace tensorquant
