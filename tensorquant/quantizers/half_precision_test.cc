#include "tensorquant/quantizers/half_precision.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

template <class Half>
std::vector<std::uint16_t> quantized(std::string_view spec, const std::vector<std::uint16_t>& in) {
  std::vector<Half> x;
  x.reserve(in.size());
  for (const std::uint16_t bits : in) x.push_back({bits});
  quantize(*make_quantizer(spec), std::span<const Half>(x), std::span<Half>(x));
  std::vector<std::uint16_t> out;
  out.reserve(x.size());
  for (const Half y : x) out.push_back(y.bits);
  return out;
}

// There and back again, NaN payloads too.
template <class Half>
void expect_identity() {
  std::vector<std::uint16_t> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  EXPECT_EQ(quantized<Half>("none", all), all);
}

TEST(HalfPrecision, EveryNumberIsTheSameInFloat32) {
  expect_identity<Float16>();
  expect_identity<BFloat16>();
}

using Bits = std::vector<std::uint16_t>;

// Encodings of IEEE 754-2019: 2049 and 2051 lie between the even neighbours 2048, 2050 and 2052;
// 65520 between the largest number and 2^16.
TEST(HalfPrecision, ResultsAreRoundedToTheTypeTiesToEven) {
  EXPECT_EQ(quantized<Float16>("binary,2049", {0x3C00, 0xBC00}), (Bits{0x6800, 0xE800}));
  EXPECT_EQ(quantized<Float16>("binary,2051", {0x3C00}), (Bits{0x6802}));
  EXPECT_EQ(quantized<Float16>("binary,65519", {0x3C00}), (Bits{0x7BFF}));
  EXPECT_EQ(quantized<Float16>("binary,65520", {0x3C00, 0xBC00}), (Bits{0x7C00, 0xFC00}));
  EXPECT_EQ(quantized<Float16>("binary,2.9802322387695312e-08", {0x3C00}),
            (Bits{0x0000}));  // 2^-25
  EXPECT_EQ(quantized<Float16>("binary,2.99e-08", {0x3C00}), (Bits{0x0001}));
  EXPECT_EQ(quantized<BFloat16>("binary,257", {0x3F80}), (Bits{0x4380}));
  EXPECT_EQ(quantized<BFloat16>("binary,259", {0x3F80}), (Bits{0x4382}));
}

TEST(HalfPrecision, GradientsAreClippedInTheType) {
  const std::vector<Float16> x = {{0xC880}, {0xC800}, {0x47F0}, {0x4800}};  // -9, -8, 7.9375, 8
  const std::vector<Float16> dy(4, Float16{0x0001});
  std::vector<Float16> dx(4);
  gradient(*make_quantizer("nearest,8,4,grad=clipped"), std::span<const Float16>(x),
           std::span<const Float16>(x), std::span<const Float16>(dy), std::span<Float16>(dx));
  const Bits wanted = {0, 1, 1, 0};
  for (std::size_t i = 0; i < dx.size(); ++i) EXPECT_EQ(dx[i].bits, wanted[i]) << i;
}

TEST(HalfPrecision, SizesThatDifferAreRefused) {
  const std::vector<Float16> x(3);
  std::vector<Float16> y(2);
  EXPECT_THROW(
      quantize(*make_quantizer("none"), std::span<const Float16>(x), std::span<Float16>(y)), Error);
}

}  // namespace
}  // namespace tensorquant
