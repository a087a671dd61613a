#include "python/src/half_types.h"

#include <bit>
#include <cstddef>

#include "tensorquant/base/float_environment.h"

namespace tensorquant {
namespace {

// In integers, and without a branch, so that compilers make vectors of the loops.

float widened(Float16 half) {
  const auto bits = static_cast<std::uint32_t>(half);
  const std::uint32_t magnitude = bits & 0x7FFF, sign = (bits & 0x8000) << 16;
  // The exponent's bias is 15 there and 127 here; Inf and NaN keep all ones.
  const std::uint32_t normal = (magnitude << 13) + ((magnitude >= 0x7C00 ? 224u : 112u) << 23);
  const auto subnormal =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<int>(magnitude)) * 0x1p-24f);
  return std::bit_cast<float>((magnitude < 0x400 ? subnormal : normal) | sign);
}

float widened(BFloat16 half) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

Float16 narrowed(float x, Float16) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7FFFFFFF, sign = (bits & 0x80000000) >> 16;
  // Half a last place, or just below it where the last place is even, carries into it.
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xFFF + ((magnitude >> 13) & 1)) >> 13;
  // The last place of 0.5 is worth that of the subnormals.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
      std::bit_cast<std::uint32_t>(0.5f);
  const std::uint32_t payload = (magnitude >> 13) & 0x3FF;
  const std::uint32_t nan = 0x7C00 | (payload == 0 ? 0x200 : payload);
  std::uint32_t result = magnitude < 0x38800000 ? subnormal : normal;  // 2^-14
  result = magnitude >= 0x477FF000 ? 0x7C00 : result;                  // 65520: overflow
  result = magnitude > 0x7F800000 ? nan : result;
  return static_cast<Float16>(result | sign);
}

BFloat16 narrowed(float x, BFloat16) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  const std::uint32_t cut = bits >> 16;
  const std::uint32_t nan = (cut & 0x7F) == 0 ? cut | 0x40 : cut;
  return static_cast<BFloat16>((bits & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded);
}

template <class Half>
void widen(std::span<const Half> x, std::span<float> y) {
  const DefaultFloatEnvironment environment;
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = widened(x[i]);
}

template <class Half>
void narrow(std::span<const float> x, std::span<Half> y) {
  const DefaultFloatEnvironment environment;
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = narrowed(x[i], Half{});
}

}  // namespace

void to_float(std::span<const Float16> x, std::span<float> y) { widen(x, y); }
void to_float(std::span<const BFloat16> x, std::span<float> y) { widen(x, y); }
void from_float(std::span<const float> x, std::span<Float16> y) { narrow(x, y); }
void from_float(std::span<const float> x, std::span<BFloat16> y) { narrow(x, y); }

}  // namespace tensorquant
