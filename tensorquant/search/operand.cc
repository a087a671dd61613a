#include "tensorquant/search/operand.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <variant>

#include "tensorquant/quantizers/storage.h"

namespace tensorquant {
namespace {

template <class F>
inline constexpr bool is_integer_v =
    std::is_same_v<F, FixedPoint> || std::is_same_v<F, AdditivePowers> ||
    std::is_same_v<F, Logarithmic> || std::is_same_v<F, Binary> || std::is_same_v<F, Ternary>;

// By what the quantizer's values are to be divided so that their bits are those of the codes up to
// a power of two; nothing where they cannot be told.
std::optional<double> code_scale(const Quantizer& quantizer) {
  const Scaled* const scaled = scaled_format(quantizer);
  if (scaled == nullptr || scaled->scale.is_power_of_two()) return 1;
  if (scaled->scale.rule == Scale::Rule::number && !scaled->scale.has_zero_point()) {
    return static_cast<float>(scaled->scale.number);
  }
  return std::nullopt;
}

bool is_one_magnitude(const ElementFormat& element) {
  return std::holds_alternative<Binary>(element) || std::holds_alternative<Ternary>(element);
}

bool is_one_magnitude(const Quantizer* quantizer) {
  if (quantizer == nullptr || quantizer->format() == nullptr) return false;
  const std::optional<ElementFormat> element = element_of(*quantizer->format());
  return element && is_one_magnitude(*element);
}

// See Operand.
std::optional<int> magnitude_bits(const ElementFormat& element, const Scaled* scaled) {
  if (scaled != nullptr) {
    const bool is_split =
        scaled->scale.per == Scale::Per::row || scaled->scale.per == Scale::Per::block;
    if (is_split || scaled->scale.has_zero_point()) return std::nullopt;
  }
  if (const auto* const fixed = std::get_if<FixedPoint>(&element)) return fixed->magnitude_bits();
  return is_one_magnitude(element) ? std::optional(0) : std::nullopt;
}

// From the highest to the lowest bit that is set.
int span_of(float value) {
  int exponent = 0;
  const auto significand =
      static_cast<std::uint32_t>(std::ldexp(std::abs(std::frexp(value, &exponent)), 24));
  return significand == 0 ? 0 : 24 - std::countr_zero(significand);
}

}  // namespace

Operand operand_of(const Quantizer* quantizer) {
  if (quantizer == nullptr || quantizer->format() == nullptr) return {};
  const Format& format = *quantizer->format();
  const std::optional<Storage> storage = tensorquant::storage<float>(format);
  const std::optional<ElementFormat> element = element_of(format);
  if (!storage || !element) return {};
  Operand operand;
  operand.bits = storage->value_bits;
  operand.stored_bits = storage->bits_per_value().value_or(storage->value_bits);
  std::visit(
      [&](const auto& f) {
        using F = std::decay_t<decltype(f)>;
        operand.is_float = !is_integer_v<F>;
        if constexpr (std::is_same_v<F, Logarithmic>) operand.multiplies = f.fraction > 0;
      },
      *element);
  if (const auto* fixed = std::get_if<FixedPoint>(&format)) operand.fixed_point = *fixed;
  if (is_one_magnitude(*element)) operand.multiplies = false;
  const Scaled* const scaled = scaled_format(*quantizer);
  operand.magnitude_bits = magnitude_bits(*element, scaled);
  operand.has_channel_scales = scaled != nullptr && scaled->scale.per == Scale::Per::channel;
  return operand;
}

std::optional<CodeCounts> count_codes(const Quantizer* quantizer,
                                      std::span<const float> quantized) {
  const bool one_magnitude = is_one_magnitude(quantizer);
  const std::optional<double> scale =
      quantizer == nullptr || one_magnitude ? std::optional<double>(1) : code_scale(*quantizer);
  if (!scale) return std::nullopt;
  CodeCounts counts;
  for (const float value : quantized) {
    if (!std::isfinite(value)) return std::nullopt;
    if (value == 0) {
      ++counts.zeros;
    } else if (one_magnitude) {
      ++counts.span_bits;
    } else {
      const double code = *scale == 1 ? value : std::round(value / *scale);
      counts.span_bits += static_cast<std::uint64_t>(span_of(static_cast<float>(code)));
    }
  }
  return counts;
}

}  // namespace tensorquant
