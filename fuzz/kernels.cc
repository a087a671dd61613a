// Kernels against references: a format and a context from the input, its other bytes as numbers;
// on every instruction set, float32 and float64, bit for bit.

#include "tensorquant/kernels/kernels.h"

#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "fuzz/input.h"
#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/quantizers/format_fields.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"

using namespace tensorquant;

namespace {

// Fills a format's fields from the input, each within its limits: every set of parameters that a
// quantizer string can give. See format_fields.h.
struct FieldTaker {
  Input& input;
  bool takes_shape;

  // Thresholds and magnitudes of all sizes, finite in float32, too.
  double magnitude() {
    const float x = std::abs(input.take<float>());
    return std::isfinite(x) && x > 0 ? x : 1;
  }
  int integer(int lowest, int highest) {
    return lowest + input.take<std::uint16_t>() % (highest - lowest + 1);
  }

  void argument(std::string_view, int& value, int lowest, int highest) {
    if (takes_shape) value = integer(lowest, highest);
  }
  void argument(std::string_view, double& value) { value = magnitude(); }
  void optional_argument(std::string_view, double& value) { value = magnitude(); }
  void optional_argument(std::string_view, std::optional<double>& value) {
    if (input.between(0, 1)) value = magnitude();
  }
  void optional_argument(std::string_view, int& value, int, int lowest, int highest) {
    if (input.between(0, 1)) value = integer(lowest, highest);
  }
  void keyword(std::string_view, int& value, int, int lowest, int highest) {
    if (input.between(0, 1)) value = integer(lowest, highest);
  }
  template <class E, std::size_t N>
  void optional_argument(std::string_view, E& value, const std::array<Choice<E>, N>& choices) {
    value = choices[static_cast<std::size_t>(input.between(0, N - 1))].value;
  }
  template <class E, std::size_t N>
  void keyword(std::string_view, E& value, const std::array<Choice<E>, N>& choices) {
    value = choices[static_cast<std::size_t>(input.between(0, N - 1))].value;
  }
  template <class... Field>
  void shape_keyword(Field&&... field) {
    if (takes_shape) keyword(std::forward<Field>(field)...);
  }
  void flag(std::string_view, bool& value) { value = input.between(0, 1) != 0; }
  void flag_just_when(bool condition, std::string_view, bool& value) { value = condition; }
  template <class... Field>
  void keyword_when(bool condition, Field&&... field) {
    if (condition) keyword(std::forward<Field>(field)...);
  }
};

int integer_block(Input& input) { return 1 + input.take<std::uint16_t>() % 300; }

// The element format with a scale that it can have, else alone.
Format take_scaled(Input& input, const ElementFormat& element) {
  constexpr std::array kRules = {Scale::Rule::max, Scale::Rule::floor, Scale::Rule::ceil,
                                 Scale::Rule::e4m3};
  const Scale scale = {.rule = kRules[static_cast<std::size_t>(input.between(0, 3))],
                       .per = Scale::Per::block,
                       .block = integer_block(input)};
  const auto* ternary = std::get_if<Ternary>(&element);
  const bool finds_threshold = ternary != nullptr && !ternary->threshold;
  if (finds_threshold || largest_value<double>(element) <= 0) {
    return as_format(element);
  }
  return Scaled{element, scale};
}

Format take_format(Input& input) {
  const int last = static_cast<int>(format_list().size()) - 1;
  const FormatEntry& entry = format_list()[static_cast<std::size_t>(input.between(0, last))];
  Format format = entry.prototype;
  FieldTaker taker{input, entry.shape != FormatEntry::Shape::implied};
  return std::visit(
      [&](auto& f) -> Format {
        using F = std::decay_t<decltype(f)>;
        if constexpr (std::is_same_v<F, Scaled>) {
          std::visit([&](auto& element) { visit_fields(element, taker); }, f.element);
          return take_scaled(input, f.element);
        } else {
          visit_fields(f, taker);
          if constexpr (std::is_constructible_v<ElementFormat, F>) {
            if (input.between(0, 1)) return take_scaled(input, f);
          }
          return f;
        }
      },
      format);
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
