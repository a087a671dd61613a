#include "tensorquant/quantizers/half_precision.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

// Conversions without a branch, so that compilers make vectors of the loops.

float widened(Float16 x) {
  const std::uint32_t magnitude = x.bits & 0x7FFFu, sign = (x.bits & 0x8000u) << 16;
  // The exponent's bias is 15 here and 127 there; Inf and NaN keep all ones.
  const std::uint32_t normal = (magnitude << 13) + ((magnitude >= 0x7C00 ? 224u : 112u) << 23);
  const std::uint32_t subnormal =
      to_bits(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f);
  return from_bits<float>((magnitude < 0x400 ? subnormal : normal) | sign);
}

float widened(BFloat16 x) { return from_bits<float>(std::uint32_t{x.bits} << 16); }

void narrow(float x, Float16& y) {
  const std::uint32_t bits = to_bits(x);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu, sign = (bits >> 16) & 0x8000u;
  // Half a last place, or what is just below it where the last place is even, carries into it.
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xFFF + ((magnitude >> 13) & 1)) >> 13;
  // The last place of 0.5 is worth as much as that of the subnormals.
  const std::uint32_t subnormal = to_bits(from_bits<float>(magnitude) + 0.5f) - to_bits(0.5f);
  const std::uint32_t payload = (magnitude >> 13) & 0x3FF;
  std::uint32_t result = magnitude < 0x38800000 ? subnormal : normal;  // 2^-14
  result = magnitude >= 0x477FF000 ? 0x7C00 : result;                  // 65520
  // A NaN whose payload lies in the bits that are dropped must not become an infinity.
  result = magnitude > 0x7F800000 ? 0x7C00 | (payload == 0 ? 0x200 : payload) : result;
  y.bits = static_cast<std::uint16_t>(result | sign);
}

void narrow(float x, BFloat16& y) {
  const std::uint32_t bits = to_bits(x), cut = bits >> 16;
  const std::uint32_t rounded = (bits + 0x7FFF + (cut & 1)) >> 16;
  const std::uint32_t nan = (cut & 0x7F) == 0 ? cut | 0x40 : cut;
  y.bits = static_cast<std::uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000 ? nan : rounded);
}

constexpr std::size_t kBlock = 4096;

template <class Half>
void widen(std::span<const Half> in, std::span<float> out) {
  parallel_for(in.size(), kBlock, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    for (std::size_t i = begin; i < end; ++i) out[i] = widened(in[i]);
  });
}

template <class Half>
void narrow(std::span<const float> in, std::span<Half> out) {
  parallel_for(in.size(), kBlock, [&](std::size_t begin, std::size_t end) {
    const DefaultFloatEnvironment environment;
    for (std::size_t i = begin; i < end; ++i) narrow(in[i], out[i]);
  });
}

// Not initialized: every element is written before it is read.
struct Floats {
  template <class Half>
  explicit Floats(std::span<const Half> in)
      : data(new float[in.size()]), span(data.get(), in.size()) {
    widen(in, span);
  }
  std::unique_ptr<float[]> data;
  std::span<float> span;
};

void require_one_size(std::size_t a, std::size_t b) {
  if (a == b) return;
  throw Error("arrays of " + std::to_string(a) + " and " + std::to_string(b) +
              " elements, expected one size");
}

// body(begin, count) for pieces that stay in the cache where they can be computed alone, else for
// all at once.
template <class Body>
void in_pieces(bool can_be_divided, std::size_t count, const Body& body) {
  if (!can_be_divided) return body(0, count);
  parallel_for(count, kBlock, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; i += kBlock) body(i, std::min(kBlock, end - i));
  });
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

void to_float(std::span<const Float16> in, std::span<float> out) { widen(in, out); }
void to_float(std::span<const BFloat16> in, std::span<float> out) { widen(in, out); }
void from_float(std::span<const float> in, std::span<Float16> out) { narrow(in, out); }
void from_float(std::span<const float> in, std::span<BFloat16> out) { narrow(in, out); }

template <class Half>
void quantize(const Quantizer& quantizer, std::span<const Half> in, std::span<Half> out,
              const Context& context) {
  require_one_size(in.size(), out.size());
  in_pieces(is_elementwise(quantizer), in.size(), [&](std::size_t begin, std::size_t count) {
    const Floats values(in.subspan(begin, count));
    quantizer.quantize(std::span<const float>(values.span), values.span, context);
    from_float(values.span, out.subspan(begin, count));
  });
}

template <class Half>
void gradient(const Quantizer& quantizer, std::span<const Half> x, std::span<const Half> y,
              std::span<const Half> dy, std::span<Half> dx, const Context& context) {
  require_one_size(x.size(), y.size());
  require_one_size(x.size(), dy.size());
  require_one_size(x.size(), dx.size());
  in_pieces(has_elementwise_gradient(quantizer), x.size(),
            [&](std::size_t begin, std::size_t count) {
              const Floats in(x.subspan(begin, count)), out(y.subspan(begin, count));
              const Floats values(dy.subspan(begin, count));
              quantizer.gradient(std::span<const float>(in.span), std::span<const float>(out.span),
                                 std::span<const float>(values.span), values.span, context);
              from_float(values.span, dx.subspan(begin, count));
            });
}

template void quantize(const Quantizer&, std::span<const Float16>, std::span<Float16>,
                       const Context&);
template void quantize(const Quantizer&, std::span<const BFloat16>, std::span<BFloat16>,
                       const Context&);
template void gradient(const Quantizer&, std::span<const Float16>, std::span<const Float16>,
                       std::span<const Float16>, std::span<Float16>, const Context&);
template void gradient(const Quantizer&, std::span<const BFloat16>, std::span<const BFloat16>,
                       std::span<const BFloat16>, std::span<BFloat16>, const Context&);

}  // namespace tensorquant
