// Built-in quantizers as numbers, for front-ends that quantize where the core's kernels do not run:
// see tensorquant.ops.torch.formulas, which has the formulas.

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "python/src/axes.h"
#include "python/src/bindings.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/formats/format.h"
#include "tensorquant/quantizers/format_fields.h"
#include "tensorquant/quantizers/quantizer.h"

namespace nb = nanobind;

namespace tensorquant::python {
namespace {

using nlohmann::json;

// Numbers of T as the signed integers of their bits.
template <class T>
json bits(T x) {
  return static_cast<std::make_signed_t<BitsOf<T>>>(to_bits(x));
}

// Numbers of T without NaN in the order of integers: -0 is -1, +0 is 0.
template <class T>
using Key = std::make_signed_t<BitsOf<T>>;
template <class T>
T number_of(Key<T> key) {
  const auto magnitude = static_cast<BitsOf<T>>(key < 0 ? -(key + 1) : key);
  return std::copysign(from_bits<T>(magnitude), key < 0 ? T{-1} : T{1});
}
template <class T>
Key<T> key_of(T x) {
  const auto magnitude = static_cast<Key<T>>(to_bits(std::abs(x)));
  return std::signbit(x) ? -magnitude - 1 : magnitude;
}

// The same with one zero.
template <class T>
Key<T> number(T x) {
  const auto magnitude = static_cast<Key<T>>(to_bits(std::abs(x)));
  return std::signbit(x) ? -magnitude : magnitude;
}

// What a format of few values makes of all numbers: values[i] from the number with the key
// borders[i - 1] on.
template <class T>
struct Steps {
  std::vector<Key<T>> borders;
  std::vector<Key<T>> values;  // as bits
};

// Steps between two numbers, found by halving: results ascend with the numbers.
template <class F, class T>
void find_steps(const F& format, Key<T> below, BitsOf<T> value_below, Key<T> above,
                BitsOf<T> value_above, Steps<T>& steps) {
  if (value_below == value_above) return;
  if (below + 1 == above) {
    steps.borders.push_back(above);
    steps.values.push_back(static_cast<Key<T>>(value_above));
    return;
  }
  const Key<T> middle =
      below +
      static_cast<Key<T>>((static_cast<BitsOf<T>>(above) - static_cast<BitsOf<T>>(below)) / 2);
  const BitsOf<T> value = to_bits(quantize_reference(format, number_of<T>(middle)));
  find_steps(format, below, value_below, middle, value, steps);
  find_steps(format, middle, value, above, value_above, steps);
}

template <class F, class T>
json table(const F& format) {
  const Key<T> last = key_of(std::numeric_limits<T>::infinity()), first = -last - 1;
  const BitsOf<T> lowest = to_bits(quantize_reference(format, number_of<T>(first)));
  const BitsOf<T> highest = to_bits(quantize_reference(format, number_of<T>(last)));
  Steps<T> steps{{}, {static_cast<Key<T>>(lowest)}};
  find_steps(format, first, lowest, last, highest, steps);
  return {{"kind", "table"}, {"borders", steps.borders}, {"values", steps.values}};
}

std::string_view word_of(Rounding rounding) {
  for (const auto& [word, value] : kRoundings) {
    if (value == rounding) return word;
  }
  return {};
}

// Multiples of 2^last_bit with up to significand_bits behind the leading one, or as many as T has.
template <class F, class T>
json grid(const F& format, int last_bit, int significand_bits, const Bounds<T>& limits,
          double above, double below) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  return {
      {"kind", "grid"},
      {"rounding", word_of(format.rounding)},
      {"random_bits", format.random_bits},
      {"last_bit", last_bit},
      {"significand_bits", significand_bits},
      {"step", bits(static_cast<T>(std::ldexp(1.0, last_bit)))},
      // By sign, + and -: the largest magnitude, what one beyond it becomes, and infinity.
      {"largest", {bits(limits.highest), bits(std::abs(limits.lowest))}},
      {"beyond", {bits(static_cast<T>(above)), bits(static_cast<T>(below))}},
      {"infinity",
       {bits(quantize_reference(format, kInfinity)), bits(quantize_reference(format, -kInfinity))}},
      {"negative_zero", bits(quantize_reference(format, -T{0}))},
      {"nan", 0},    // what NaN becomes; 0: it stays
      {"wrap", 0}};  // 1: modulo 2^bits, 2: sign_magnitude
}

template <class T>
json element(const FixedPoint& format) {
  const Bounds<T> limits = bounds<T>(format);
  const bool zero = format.overflow == FixedPoint::Overflow::zero;
  json result = grid(format, -format.fraction, std::numeric_limits<T>::digits - 1, limits,
                     zero ? 0 : limits.highest, zero ? 0 : limits.lowest + T{0});
  if (format.wraps()) {
    result["wrap"] = format.overflow == FixedPoint::Overflow::wrap ? 1 : 2;
    result["bits"] = format.bits;
    result["unsigned"] = format.is_unsigned;
    result["nan"] = bits(std::numeric_limits<T>::quiet_NaN());
  }
  return result;
}

template <class T>
json element(const FloatingPoint& format) {
  return grid(format, format.last_bit(), format.significand_bits, bounds<T>(format),
              overflow_value(format, false), overflow_value(format, true));
}

template <class T>
json element(const P3109& format) {
  const Bounds<T> limits = bounds<T>(format);
  const double below = format.is_unsigned ? format.negative_value() : format.overflow_value(true);
  return grid(format, format.last_bit(), format.precision - 1, limits, format.overflow_value(false),
              below);
}

template <class T>
json element(const Posit& format) {
  return {{"kind", "posit"},
          {"bits", format.bits},
          {"exponent_bits", format.exponent_bits},
          {"smallest", bits(static_cast<T>(format.smallest()))},
          {"largest", bits(static_cast<T>(format.largest()))},
          {"nan", bits(std::numeric_limits<T>::quiet_NaN())}};
}

template <class T>
json element(const Identity&) {
  return {{"kind", "same"}};
}

template <class T>
json element(const Sparse& format) {
  return {{"kind", "sparse"}, {"threshold", bits(static_cast<T>(format.threshold))}};
}

// Ternary with its threshold, which is one number's as well as a tensor's.
struct GivenTernary {
  Ternary format;
};
template <class T>
T quantize_reference(const GivenTernary& given, T x) {
  return quantize_reference(given.format, x,
                            threshold_reference(given.format, std::span<const T>()));
}

template <class T>
json element(const Ternary& format) {
  if (!format.threshold) return nullptr;  // a sum in the order of the core
  return table<GivenTernary, T>({format});
}

constexpr int kMostTableFraction = 3;  // of logarithmic in float64, which has 2098 octaves
template <class T>
json element(const Logarithmic& format) {
  if (sizeof(T) == 8 && format.fraction > kMostTableFraction) return nullptr;
  return table<Logarithmic, T>(format);
}

template <class T>
json element(const NormalFloat4& format) {
  return table<NormalFloat4, T>(format);
}

template <class T>
json element(const AdditivePowers& format) {
  return table<AdditivePowers, T>(format);
}

template <class T>
json element(const Binary& format) {
  return table<Binary, T>(format);
}

std::string_view word_of(Scale::Rule rule) {
  switch (rule) {
    case Scale::Rule::number:
      return "number";
    case Scale::Rule::max:
      return "max";
    case Scale::Rule::range:
      return "range";
    case Scale::Rule::e4m3:
      return "e4m3";
    case Scale::Rule::floor:
    case Scale::Rule::ceil:
    case Scale::Rule::round:
      return "power";
    case Scale::Rule::mean:
      break;
  }
  return {};
}

json scale(const Scaled& format) {
  const Scale& scale = format.scale;
  const auto limits = std::visit([](const auto& f) { return bounds<float>(f); }, format.element);
  json result = {{"rule", word_of(scale.rule)},
                 {"number", bits(static_cast<float>(scale.number))},
                 {"zero", scale.zero},
                 {"has_zero_point", scale.has_zero_point()},
                 {"largest", bits(limits.highest)},
                 {"limits", {number(limits.lowest), number(limits.highest)}}};
  if (scale.is_power_of_two()) {
    const PowerOfTwoRule rule = power_of_two_rule(format, limits.highest);
    result["exponent"] = rule.exponent;
    // The first of the 2^23 significands that goes up.
    result["threshold"] = static_cast<int>(std::ceil(std::ldexp(rule.threshold - 1, 23)));
  }
  if (scale.rule == Scale::Rule::e4m3) {
    result["e4m3"] = element<float>(kE4M3);
    result["most"] = bits(static_cast<float>(kE4M3.largest()) * limits.highest);
  }
  if (scale.has_zero_point()) {
    const auto& fixed = std::get<FixedPoint>(format.element);
    const double lowest = fixed.lowest_integer(), highest = fixed.highest_integer();
    result["integers"] = {static_cast<int>(lowest), static_cast<int>(highest)};
    result["span"] = bits(static_cast<float>(highest - lowest));
  }
  return result;
}

template <class T>
json element(const Scaled& format) {
  // Quotients and products are those of float32, and the core adds up means in its own order.
  if (sizeof(T) == 8 || format.scale.rule == Scale::Rule::mean) return nullptr;
  if (format.scale.has_zero_point()) {
    return element<T>(unbounded(std::get<FixedPoint>(format.element)));
  }
  return std::visit([](const auto& f) { return element<T>(f); }, format.element);
}

template <class T>
json of_format(const Format& format) {
  json result = {{"scale", nullptr}, {"bounds", nullptr}};
  result["element"] = std::visit([](const auto& f) { return element<T>(f); }, format);
  const auto* scaled = std::get_if<Scaled>(&format);
  if (scaled != nullptr && !result["element"].is_null()) result["scale"] = scale(*scaled);
  if (scaled == nullptr || !finds_scales(*scaled)) {
    const Bounds<T> limits = std::visit([](const auto& f) { return bounds<T>(f); }, format);
    result["bounds"] = {number(limits.lowest), number(limits.highest)};
  }
  return result;
}

// How the elements of a tensor share scales: outer, length, inner, block, by_index of Grouping.
std::tuple<std::size_t, std::size_t, std::size_t, std::size_t, bool> groups_of(
    std::string_view spec, const std::vector<std::int64_t>& shape, const Axes& axes) {
  const auto quantizer = make_quantizer(spec);
  std::size_t size = 1;
  for (const std::int64_t length : shape) size *= static_cast<std::size_t>(length);
  const Context context = {.layout = layout_of(axes, shape)};
  const Grouping groups = grouping(scaled_format(*quantizer)->scale, size, context);
  return {groups.axis.outer, groups.axis.length, groups.axis.inner, groups.block, groups.by_index};
}

// JSON of a built-in quantizer's numbers in float32 or float64, "null" of a user's own.
std::string device_format(std::string_view spec, bool is_double) {
  const DefaultFloatEnvironment environment;
  const auto quantizer = make_quantizer(spec);
  if (quantizer->format() == nullptr) return "null";
  const json result =
      is_double ? of_format<double>(*quantizer->format()) : of_format<float>(*quantizer->format());
  return result.dump();
}

}  // namespace

void bind_device_formats(nb::module_& module) {
  module.def("device_format", &device_format, nb::arg("spec"), nb::arg("is_double"));
  module.def("device_groups", &groups_of, nb::arg("spec"), nb::arg("shape"), nb::arg("axes"));
}

}  // namespace tensorquant::python
