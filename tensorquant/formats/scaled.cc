#include "tensorquant/formats/scaled.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

// What the elements of a group share.
template <class T>
struct GroupScale {
  T scale = 1;  // NaN where the group is
  double zero = 0;
  std::optional<double> threshold = {};  // Rule::mean of ternary
};

template <class T>
struct Ends {
  T lowest = 0;
  T highest = 0;
  T largest_magnitude() const { return std::max(-lowest, highest); }
};

// Zero is always between them; nothing where an element is NaN or infinite.
template <class T>
std::optional<Ends<T>> ends_of(std::span<const T> group) {
  Ends<T> ends;
  for (const T x : group) {
    if (!std::isfinite(x)) return std::nullopt;
    ends.lowest = std::min(ends.lowest, x);
    ends.highest = std::max(ends.highest, x);
  }
  return ends;
}

template <class T>
T power_of_two_scale(const PowerOfTwoRule& rule, T largest_magnitude) {
  const int exponent = std::ilogb(largest_magnitude);
  const double significand = std::ldexp(static_cast<double>(largest_magnitude), -exponent);
  const int up = significand >= rule.threshold ? 1 : 0;
  return static_cast<T>(std::ldexp(
      1.0, std::clamp(exponent + up - rule.exponent, -kMaxScaleExponent, kMaxScaleExponent)));
}

template <class T>
GroupScale<T> range_scale(const FixedPoint& format, const Ends<T>& ends) {
  const double lowest = format.lowest_integer(), highest = format.highest_integer();
  const T scale =
      normal_scale(finite<T>(ends.highest - ends.lowest) / static_cast<T>(highest - lowest));
  const double zero = lowest - round_reference(ends.lowest / scale, Rounding::even);
  return {.scale = scale, .zero = std::clamp(zero, lowest, highest)};
}

// What all groups of a tensor share: Rule::e4m3.
template <class T>
T tensor_scale(const Scaled& format, std::span<const T> in) {
  const std::optional<Ends<T>> ends = ends_of(in);
  if (!ends) return std::numeric_limits<T>::quiet_NaN();
  const T most = static_cast<T>(kE4M3.largest()) * largest_value<T>(format.element);
  return normal_scale(ends->largest_magnitude() / most);
}

template <class T>
GroupScale<T> group_scale(const Scaled& format, std::span<const T> group, T of_tensor) {
  const Scale& scale = format.scale;
  if (scale.rule == Scale::Rule::number) {
    return {.scale = static_cast<T>(scale.number), .zero = static_cast<double>(scale.zero)};
  }
  if (scale.rule == Scale::Rule::mean) {
    const auto [mean, threshold] = mean_scale(format.element, group);
    return {.scale = mean, .threshold = threshold};
  }
  const std::optional<Ends<T>> ends = ends_of(group);
  if (!ends || std::isnan(of_tensor)) return {.scale = std::numeric_limits<T>::quiet_NaN()};
  if (scale.rule == Scale::Rule::range) {
    return range_scale(std::get<FixedPoint>(format.element), *ends);
  }
  const T amax = ends->largest_magnitude();
  if (amax == 0) return {.scale = 0};
  const T largest = largest_value<T>(format.element);
  if (scale.is_power_of_two()) {
    return {.scale = power_of_two_scale(power_of_two_rule(format, largest), amax)};
  }
  if (scale.rule == Scale::Rule::e4m3) {
    const T in_units = amax / (largest * of_tensor);
    const T block =
        quantize_reference(kE4M3, std::clamp<T>(in_units, T(kE4M3.smallest()), T(kE4M3.largest())));
    return {.scale = normal_scale(block * of_tensor)};
  }
  return {.scale = normal_scale(amax / largest)};
}

template <class T>
T element_reference(const ElementFormat& element, T x, const RandomStream& random,
                    std::size_t index) {
  return std::visit(
      [&](const auto& f) -> T {
        using F = std::decay_t<decltype(f)>;
        if constexpr (TakesDraw<F>) {
          return quantize_reference(f, x, draw(f, random, index));
        } else if constexpr (std::is_same_v<F, Ternary>) {
          return quantize_reference(f, x, threshold_reference(f, std::span<const T>()));
        } else {
          return quantize_reference(f, x);
        }
      },
      element);
}

// q of s * q.
template <class T>
T element_in_group(const Scaled& format, const GroupScale<T>& group, T x,
                   const RandomStream& random, std::size_t index) {
  if (std::isnan(x)) return element_reference(format.element, x, random, index);
  if (std::isnan(group.scale)) return std::numeric_limits<T>::quiet_NaN();
  if (format.scale.has_zero_point()) {
    const auto& fixed = std::get<FixedPoint>(format.element);
    const auto [lowest, highest] = shifted_ends(fixed, group.zero);
    const double k = round_reference(static_cast<double>(x / group.scale), fixed.rounding,
                                     draw(fixed, random, index));
    return static_cast<T>(std::clamp(k, lowest, highest)) + T{0};  // -0 + 0 = +0
  }
  if (group.threshold && std::holds_alternative<Ternary>(format.element)) {
    return quantize_reference(std::get<Ternary>(format.element), x, *group.threshold);
  }
  return element_reference(format.element, group.scale == 0 ? x : x / group.scale, random, index);
}

template <class T>
bool overflows_in_group(const Scaled& format, const GroupScale<T>& group, T x,
                        const RandomStream& random, std::size_t index) {
  if (!std::isfinite(x) || std::isnan(group.scale)) return false;
  const T quotient = group.scale == 0 ? x : x / group.scale;
  if (std::isinf(quotient)) return true;
  if (format.scale.has_zero_point()) {
    const auto& fixed = std::get<FixedPoint>(format.element);
    const auto [lowest, highest] = shifted_ends(fixed, group.zero);
    const double k =
        round_reference(static_cast<double>(quotient), fixed.rounding, draw(fixed, random, index));
    return k < lowest || k > highest;
  }
  return std::visit([&](const auto& f) { return overflows(f, quotient, random, index); },
                    format.element);
}

template <class T>
T quantize_in_group(const Scaled& format, const GroupScale<T>& group, T x,
                    const RandomStream& random, std::size_t index) {
  const T q = element_in_group(format, group, x, random, index);
  if (std::isnan(q)) return q;
  const T y = group.scale * q;
  return std::isfinite(q) ? finite(y) : y;
}

// group(scale, indices of its elements) for all groups.
template <class T, class Body>
void for_each_group(const Scaled& format, std::span<const T> in, const Context& context,
                    const Body& body) {
  const Grouping grouping = tensorquant::grouping(format.scale, in.size(), context);
  std::vector<std::vector<std::size_t>> groups(grouping.groups());
  for (std::size_t i = 0; i < in.size(); ++i) groups[grouping.group_of(i)].push_back(i);
  const T of_tensor = format.scale.rule == Scale::Rule::e4m3 ? tensor_scale(format, in) : T{1};
  std::vector<T> members;
  for (const std::vector<std::size_t>& indices : groups) {
    members.clear();
    for (const std::size_t i : indices) members.push_back(in[i]);
    body(group_scale<T>(format, members, of_tensor), indices);
  }
}

// The extreme values of a group.
template <class T>
Bounds<T> group_bounds(const Scaled& format, const GroupScale<T>& group) {
  Bounds<T> limits = std::visit([](const auto& f) { return bounds<T>(f); }, format.element);
  if (format.scale.has_zero_point()) {
    const auto [lowest, highest] = shifted_ends(std::get<FixedPoint>(format.element), group.zero);
    limits = {static_cast<T>(lowest), static_cast<T>(highest)};
  }
  return {finite(group.scale * limits.lowest), finite(group.scale * limits.highest)};
}

// The explicit bits of its largest values' significands.
int significand_bits(const ElementFormat& element) {
  if (const auto* f = std::get_if<FloatingPoint>(&element)) return f->significand_bits;
  if (const auto* f = std::get_if<P3109>(&element)) return f->precision - 1;
  return std::get<FixedPoint>(element).magnitude_bits() - 1;
}

}  // namespace

PowerOfTwoRule power_of_two_rule(const Scaled& format, double largest) {
  const int exponent = std::ilogb(largest);
  constexpr double kNever = 2;
  switch (format.scale.rule) {
    case Scale::Rule::ceil:
      return {exponent, std::nextafter(std::ldexp(largest, -exponent), kNever)};
    case Scale::Rule::round:
      return {exponent, 2 - std::ldexp(1.0, -significand_bits(format.element) - 1)};
    default:
      return {exponent, kNever};
  }
}

template <class T>
MeanScale<T> mean_scale(const ElementFormat& element, std::span<const T> group) {
  const bool is_ternary = std::holds_alternative<Ternary>(element);
  const double threshold = is_ternary ? ternary_threshold_reference(group) : -1;
  const auto mean = static_cast<T>(mean_magnitude_reference(group, 1, threshold));
  return {mean == 0 ? T{0} : normal_scale(mean), threshold};
}

template <class T>
std::optional<Scale> given_scale(const Scaled& format, T lowest, T highest) {
  const std::array<T, 2> ends = {lowest, highest};
  const GroupScale<T> found = group_scale<T>(format, ends, 1);
  if (!(found.scale > 0) || (lowest == 0 && highest == 0)) return std::nullopt;
  return Scale{.rule = Scale::Rule::number,
               .number = static_cast<double>(found.scale),
               .zero = static_cast<int>(found.zero)};
}

template <class T>
void quantize_reference(const Scaled& format, std::span<const T> in, std::span<T> out,
                        const Context& context) {
  const RandomStream random = context.random();
  for_each_group(format, in, context, [&](const GroupScale<T>& group, const auto& indices) {
    for (const std::size_t i : indices) {
      out[i] = quantize_in_group(format, group, in[i], random, i);
    }
  });
}

template <class T>
ScaledParts<T> split_reference(const Scaled& format, std::span<const T> in,
                               const Context& context) {
  const RandomStream random = context.random();
  ScaledParts<T> parts{std::vector<T>(in.size()), {}};
  for_each_group(format, in, context, [&](const GroupScale<T>& group, const auto& indices) {
    parts.scales.push_back(group.scale);
    for (const std::size_t i : indices) {
      parts.q[i] = element_in_group(format, group, in[i], random, i);
    }
  });
  return parts;
}

template <class T>
void clipped_gradient_reference(const Scaled& format, std::span<const T> x, std::span<const T> dy,
                                std::span<T> dx, const Context& context) {
  for_each_group(format, x, context, [&](const GroupScale<T>& group, const auto& indices) {
    const Bounds<T> limits = group_bounds(format, group);
    for (const std::size_t i : indices) {
      const bool is_inside =
          !std::isnan(group.scale) && limits.lowest <= x[i] && x[i] <= limits.highest;
      dx[i] = is_inside ? dy[i] : T{0};
    }
  });
}

template <class T>
void overflows_reference(const Scaled& format, std::span<const T> x, std::span<bool> over,
                         const Context& context) {
  const RandomStream random = context.random();
  for_each_group(format, x, context, [&](const GroupScale<T>& group, const auto& indices) {
    for (const std::size_t i : indices) {
      over[i] = overflows_in_group(format, group, x[i], random, i);
    }
  });
}

template <class T>
Bounds<T> bounds(const Scaled& format) {
  if (!finds_scales(format)) {
    return group_bounds<T>(format, {.scale = static_cast<T>(format.scale.number),
                                    .zero = static_cast<double>(format.scale.zero)});
  }
  const T lowest = std::visit([](const auto& f) { return bounds<T>(f).lowest; }, format.element);
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  return {lowest < 0 || format.scale.has_zero_point() ? -kInfinity : T{0}, kInfinity};
}

bool is_random(const Scaled& format) { return is_random(format.element); }

bool is_elementwise(const Scaled& format) {
  return !finds_scales(format) && is_elementwise(format.element);
}

// A number of the type lies on the grid that its scale gives to these elements, or is rounded to a
// multiple of a larger power of two than its own last bit. Nothing goes beyond the type's range:
// Rule::floor, where its scale is not clamped, lets no result reach the power of two above the
// group's largest number. The other rules do, and scales that are no powers of two round products.
bool fits(const Scaled& format, const FloatingPoint& type) {
  if (format.scale.rule != Scale::Rule::floor) return false;
  const bool has_grid = std::holds_alternative<FixedPoint>(format.element) ||
                        std::holds_alternative<FloatingPoint>(format.element);
  const auto ends = std::visit([](const auto& f) { return bounds<double>(f); }, format.element);
  const int exponent = std::ilogb(ends.highest);
  return has_grid && type.max_exponent() - exponent <= kMaxScaleExponent &&
         -ends.lowest < std::ldexp(1.0, exponent + 1);
}

template <class T>
FormatFacts facts(const Scaled& format) {
  const auto [lowest, highest] = bounds<T>(format);
  if (finds_scales(format)) return {.lowest = lowest, .highest = highest};
  FormatFacts result = facts<T>(format.element);
  const double scale = static_cast<T>(format.scale.number);
  const auto scaled = [&](std::optional<double> x) {
    return x ? std::optional<double>(static_cast<T>(*x * scale)) : x;
  };
  result.lowest = lowest;
  result.highest = highest;
  result.smallest_positive = highest > 0 ? scaled(result.smallest_positive) : std::nullopt;
  result.step = scaled(result.step);
  return result;
}

template <class T>
std::vector<double> values(const Scaled& format) {
  std::vector<double> all;
  if (finds_scales(format)) return all;
  const auto scale = static_cast<T>(format.scale.number);
  for (const double q : std::visit([](const auto& f) { return values<T>(f); }, format.element)) {
    all.push_back(finite<T>(scale * static_cast<T>(q - format.scale.zero)) + T{0});
  }
  return all;
}

template MeanScale<float> mean_scale(const ElementFormat&, std::span<const float>);
template MeanScale<double> mean_scale(const ElementFormat&, std::span<const double>);
template std::optional<Scale> given_scale(const Scaled&, float, float);
template std::optional<Scale> given_scale(const Scaled&, double, double);
template void quantize_reference(const Scaled&, std::span<const float>, std::span<float>,
                                 const Context&);
template void quantize_reference(const Scaled&, std::span<const double>, std::span<double>,
                                 const Context&);
template ScaledParts<float> split_reference(const Scaled&, std::span<const float>, const Context&);
template ScaledParts<double> split_reference(const Scaled&, std::span<const double>,
                                             const Context&);
template void clipped_gradient_reference(const Scaled&, std::span<const float>,
                                         std::span<const float>, std::span<float>, const Context&);
template void clipped_gradient_reference(const Scaled&, std::span<const double>,
                                         std::span<const double>, std::span<double>,
                                         const Context&);
template void overflows_reference(const Scaled&, std::span<const float>, std::span<bool>,
                                  const Context&);
template void overflows_reference(const Scaled&, std::span<const double>, std::span<bool>,
                                  const Context&);
template Bounds<float> bounds(const Scaled&);
template Bounds<double> bounds(const Scaled&);
template FormatFacts facts<float>(const Scaled&);
template FormatFacts facts<double>(const Scaled&);
template std::vector<double> values<float>(const Scaled&);
template std::vector<double> values<double>(const Scaled&);

}  // namespace tensorquant
