#include "tensorquant/quantizers/half_precision.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <memory>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/floating_point.h"

namespace tensorquant {
namespace {

constexpr std::size_t kBlock = 4096;

float widened(BFloat16 x) { return from_bits<float>(std::uint32_t{x.bits} << 16); }

float widened(Float16 x) {
  const std::uint32_t sign = std::uint32_t{x.bits & 0x8000u} << 16;
  const std::uint32_t exponent = (x.bits >> 10) & 31;
  const std::uint32_t significand = x.bits & 1023u;
  if (exponent == 31) return from_bits<float>(sign | 0x7F800000u | (significand << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(significand) * 0x1p-24f;
    return from_bits<float>(sign | to_bits(magnitude));
  }
  return from_bits<float>(sign | ((exponent + 112) << 23) | (significand << 13));
}

// A NaN whose payload lies in the bits that are dropped must not become an infinity.
template <class Half>
std::uint16_t quiet(float x) {
  constexpr std::uint16_t kQuiet = std::is_same_v<Half, Float16> ? 0x0200 : 0x0040;
  return std::isnan(x) ? kQuiet : 0;
}

// x is a value of the type, infinite or NaN.
void narrow(float x, BFloat16& y) {
  y.bits = static_cast<std::uint16_t>(to_bits(x) >> 16);
  if ((y.bits & 0x7Fu) == 0) y.bits |= quiet<BFloat16>(x);
}

void narrow(float x, Float16& y) {
  const std::uint32_t bits = to_bits(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t exponent = (bits >> 23) & 255;
  std::uint32_t magnitude;
  if (exponent == 255) {
    magnitude = 0x7C00u | ((bits >> 13) & 1023u);
    if (magnitude == 0x7C00u) magnitude |= quiet<Float16>(x);
  } else if (exponent < 113) {
    magnitude = static_cast<std::uint32_t>(std::abs(x) * 0x1p24f);
  } else {
    magnitude = ((bits & 0x7FFFFFFFu) >> 13) - (112u << 10);
  }
  y.bits = static_cast<std::uint16_t>(sign | magnitude);
}

// Not initialized: every element is written before it is read.
struct Floats {
  explicit Floats(std::size_t size) : data(new float[size]), span(data.get(), size) {}
  std::unique_ptr<float[]> data;
  std::span<float> span;
};

template <class Half>
void widen(std::span<const Half> in, std::span<float> out) {
  parallel_for(in.size(), kBlock, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) out[i] = widened(in[i]);
  });
}

template <class Half>
Floats widen(std::span<const Half> in) {
  Floats out(in.size());
  widen(in, out.span);
  return out;
}

template <class Half>
void narrow(std::span<float> in, std::span<Half> out) {
  quantize(format_of<Half>(), std::span<const float>(in), in, {});
  parallel_for(in.size(), kBlock, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    for (std::size_t i = begin; i < end; ++i) narrow(in[i], out[i]);
  });
}

void require_one_size(std::size_t a, std::size_t b) {
  if (a == b) return;
  throw Error("arrays of " + std::to_string(a) + " and " + std::to_string(b) +
              " elements, expected one size");
}

}  // namespace

template <>
FloatingPoint format_of<Float16>() {
  return {.exponent_bits = 5, .significand_bits = 10};
}
template <>
FloatingPoint format_of<BFloat16>() {
  return {.exponent_bits = 8, .significand_bits = 7};
}

template <class Half>
void quantize(const Quantizer& quantizer, std::span<const Half> in, std::span<Half> out,
              const Context& context) {
  require_one_size(in.size(), out.size());
  const Floats values = widen(in);
  quantizer.quantize(std::span<const float>(values.span), values.span, context);
  narrow(values.span, out);
}

template <class Half>
void gradient(const Quantizer& quantizer, std::span<const Half> x, std::span<const Half> y,
              std::span<const Half> dy, std::span<Half> dx) {
  require_one_size(x.size(), dx.size());
  const Floats in = widen(x), out = widen(y), values = widen(dy);
  quantizer.gradient(std::span<const float>(in.span), std::span<const float>(out.span),
                     std::span<const float>(values.span), values.span);
  narrow(values.span, dx);
}

template void quantize(const Quantizer&, std::span<const Float16>, std::span<Float16>,
                       const Context&);
template void quantize(const Quantizer&, std::span<const BFloat16>, std::span<BFloat16>,
                       const Context&);
template void gradient(const Quantizer&, std::span<const Float16>, std::span<const Float16>,
                       std::span<const Float16>, std::span<Float16>);
template void gradient(const Quantizer&, std::span<const BFloat16>, std::span<const BFloat16>,
                       std::span<const BFloat16>, std::span<BFloat16>);

}  // namespace tensorquant
