#include "tensorquant/data/float32.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

// binary16: a sign, 5 bits of exponent with bias 15, 10 of significand.
float from_binary16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = bits >> 10 & 31U;
  const std::uint32_t significand = bits & 0x3ffU;
  if (exponent == 0) {  // zero and subnormal numbers: multiples of 2^-24
    const float magnitude = static_cast<float>(significand) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide << 23 | significand << 13);
}

// bfloat16 is the upper half of a float32.
float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// out[i] = convert(in[i]), both in arrays that own suitably aligned bytes.
template <class From, class Convert>
void convert_all(const Array& in, Array& out, Convert convert) {
  const std::size_t count = in.bytes.size() / sizeof(From);
  out.bytes.resize(count * sizeof(float));
  for (std::size_t i = 0; i < count; ++i) {
    From from;
    std::memcpy(&from, in.bytes.data() + i * sizeof(From), sizeof from);
    const float to = convert(from);
    std::memcpy(out.bytes.data() + i * sizeof to, &to, sizeof to);
  }
}

}  // namespace

Float32 to_float32(const Array& array) {
  if (array.dtype == DType::f32) return {array, 0};
  Float32 result = {{DType::f32, array.shape, {}}, 0};
  if (array.dtype == DType::f16) {
    convert_all<std::uint16_t>(array, result.array, from_binary16);
  } else if (array.dtype == DType::bf16) {
    convert_all<std::uint16_t>(array, result.array, from_bfloat16);
  } else if (array.dtype == DType::f64) {
    convert_all<double>(array, result.array, [&result](double x) {
      const auto y = static_cast<float>(x);
      result.rounded += static_cast<double>(y) != x && !std::isnan(x);
      return y;
    });
  } else {
    throw Error("an array of " + std::string(name_of(array.dtype)) + " is not made float32");
  }
  return result;
}

}  // namespace tensorquant
