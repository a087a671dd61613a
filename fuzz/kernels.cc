// Kernels against references: a format and a context from the input, its other bytes as numbers;
// on every instruction set, float32 and float64, bit for bit.

#include "tensorquant/kernels/kernels.h"

#include <array>
#include <cmath>
#include <variant>

#include "fuzz/input.h"
#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"

using namespace tensorquant;

namespace {

Rounding take_rounding(Input& input) {
  constexpr std::array kAll = {Rounding::nearest, Rounding::even, Rounding::zero,
                               Rounding::down,    Rounding::up,   Rounding::stochastic};
  return kAll[static_cast<std::size_t>(input.between(0, kAll.size() - 1))];
}

// Thresholds and magnitudes of all sizes, finite in float32, too.
double take_magnitude(Input& input) {
  const float x = std::abs(input.take<float>());
  return std::isfinite(x) && x > 0 ? x : 1;
}

// Every set of parameters that a quantizer string can give.
Format take_format(Input& input) {
  switch (input.between(0, 6)) {
    case 0: {
      FixedPoint format{.bits = input.between(1, 32), .fraction = input.between(-64, 64)};
      format.rounding = take_rounding(input);
      if (input.between(0, 1)) format.overflow = FixedPoint::Overflow::wrap;
      const int random_bits = input.between(0, 24);
      if (format.rounding == Rounding::stochastic) format.random_bits = random_bits;
      return format;
    }
    case 1: {
      FloatingPoint format{.exponent_bits = input.between(2, 8),
                           .significand_bits = input.between(1, 23)};
      format.rounding = take_rounding(input);
      if (input.between(0, 1)) format.overflow = FloatingPoint::Overflow::saturate;
      const int random_bits = input.between(0, 24);
      if (format.rounding == Rounding::stochastic) format.random_bits = random_bits;
      return format;
    }
    case 2: {
      Logarithmic format;
      if (input.between(0, 1)) format.rounding = Rounding::down;
      const int a = input.take<std::int16_t>() % 1100;
      const int b = input.take<std::int16_t>() % 1100;
      format.min_exponent = std::clamp(std::min(a, b), kMinExponent<double>, kMaxExponent<double>);
      format.max_exponent = std::clamp(std::max(a, b), kMinExponent<double>, kMaxExponent<double>);
      return format;
    }
    case 3:
      return Sparse{.threshold = take_magnitude(input)};
    case 4:
      return Binary{.magnitude = take_magnitude(input)};
    case 5: {
      Ternary format{.magnitude = take_magnitude(input)};
      if (input.between(0, 1)) format.threshold = take_magnitude(input);
      return format;
    }
    default:
      return Identity{};
  }
}

std::string name_of(const Format& format) {
  return "format " + std::to_string(format.index()) + " of the variant";
}

template <class T>
void compare(const Format& format, const Context& context, const std::vector<T>& in) {
  static const std::vector<SimdTarget> targets = simd_targets();
  std::vector<T> wanted(in.size());
  std::vector<T> out(in.size());
  std::visit(
      [&](const auto& f) {
        quantize_reference(f, std::span<const T>(in), std::span<T>(wanted), context);
        for (const SimdTarget& target : targets) {
          const ScopedSimdTarget scoped(target);
          quantize(f, std::span<const T>(in), std::span<T>(out), context);
          for (std::size_t i = 0; i < in.size(); ++i) {
            require(to_bits(out[i]) == to_bits(wanted[i]),
                    name_of(format) + " on " + target.name + ": element " + std::to_string(i) +
                        " is " + std::to_string(out[i]) + ", not " + std::to_string(wanted[i]));
          }
        }
      },
      format);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const Format format = take_format(input);
  const Context context = {.seed = input.take<std::uint64_t>(),
                           .stream = input.take<std::uint32_t>(),
                           .step = input.take<std::uint32_t>()};
  compare(format, context, input.values<float>());
  compare(format, context, input.values<double>());
  return 0;
}
