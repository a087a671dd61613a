#include "tensorquant/kernels/group_scales.h"

#include <cmath>
#include <limits>
#include <type_traits>
#include <variant>

#include "tensorquant/kernels/kernels.h"

namespace tensorquant {
namespace {

template <class T>
constexpr int kSignificandBits = std::numeric_limits<T>::digits - 1;
template <class T>
constexpr BitsOf<T> kInfinityBits = to_bits(std::numeric_limits<T>::infinity());
template <class T>
constexpr T kNan = std::numeric_limits<T>::quiet_NaN();

template <class T>
bool is_power_of_two(T x) {
  return (to_bits(x) & ((BitsOf<T>{1} << kSignificandBits<T>)-1)) == 0 &&
         std::ilogb(x) >= -kMaxScaleExponent && std::ilogb(x) <= kMaxScaleExponent - 1;
}

}  // namespace

template <class T>
ScaleRule<T>::ScaleRule(const Scaled& format, BitsOf<T> tensor_magnitude)
    : element_(format.element),
      scale_(format.scale),
      ends_(std::visit([](const auto& f) { return bounds<T>(f); }, format.element)),
      is_random_(tensorquant::is_random(format.element)) {
  largest_ = ends_.highest;
  T most = std::max(ends_.highest, -ends_.lowest);
  if (scale_.has_zero_point()) {
    const auto& fixed = std::get<FixedPoint>(element_);
    lowest_integer_ = fixed.lowest_integer();
    highest_integer_ = fixed.highest_integer();
    most = static_cast<T>(highest_integer_ - lowest_integer_);
    element_ = unbounded(fixed);
  }
  overflow_begins_ = std::numeric_limits<T>::max() / most / 2;
  if (scale_.is_power_of_two()) power_of_two_ = power_of_two_rule(format, largest_);
  multiplies_ = scale_.is_power_of_two() || (scale_.rule == Scale::Rule::number &&
                                             is_power_of_two(static_cast<T>(scale_.number)));
  const auto* fixed = std::get_if<FixedPoint>(&format.element);
  keeps_nan_ = fixed == nullptr || !fixed->wraps();
  if (scale_.rule == Scale::Rule::e4m3) {
    const T units = from_bits<T>(tensor_magnitude) / (static_cast<T>(kE4M3.largest()) * largest_);
    of_tensor_ = tensor_magnitude >= kInfinityBits<T> ? kNan<T> : normal_scale(units);
  }
}

template <class T>
GroupScales<T> ScaleRule<T>::of_number() const {
  GroupScales<T> scales(1, has_zero_point());
  const auto number = static_cast<T>(scale_.number);
  scales.before[0] = multiplies_ ? 1 / number : number;
  scales.behind[0] = number;
  if (has_zero_point()) {
    scales.lowest[0] = static_cast<T>(lowest_integer_ - scale_.zero);
    scales.highest[0] = static_cast<T>(highest_integer_ - scale_.zero);
  }
  note_overflow(scales);
  return scales;
}

template <class T>
void ScaleRule<T>::set(const GroupExtremes<T>& extremes, GroupScales<T>& scales) const {
  const auto magnitudes = extremes.magnitudes();
  scales.reset(magnitudes.size(), has_zero_point());
  if (scale_.is_power_of_two()) {
    power_of_two_scales(magnitudes.data(), magnitudes.size(), power_of_two_, scales.before.data(),
                        scales.behind.data());
  } else if (scale_.rule == Scale::Rule::range) {
    set_ranges(extremes, scales);
  } else {
    set_quotients(magnitudes, scales);
  }
  note_overflow(scales);
}

template <class T>
void ScaleRule<T>::set_ranges(const GroupExtremes<T>& extremes, GroupScales<T>& scales) const {
  const auto magnitudes = extremes.magnitudes();
  for (std::size_t g = 0; g < magnitudes.size(); ++g) {
    const T lo = extremes.lowest()[g], hi = extremes.highest()[g];
    const T scale =
        normal_scale(finite<T>(hi - lo) / static_cast<T>(highest_integer_ - lowest_integer_));
    const double zero = std::clamp(lowest_integer_ - round_reference(lo / scale, Rounding::even),
                                   lowest_integer_, highest_integer_);
    const bool is_nan = magnitudes[g] >= kInfinityBits<T>;
    scales.before[g] = is_nan ? T{1} : scale;
    scales.behind[g] = is_nan ? kNan<T> : scale;
    scales.lowest[g] = is_nan ? T{0} : static_cast<T>(lowest_integer_ - zero);
    scales.highest[g] = is_nan ? T{0} : static_cast<T>(highest_integer_ - zero);
  }
}

template <class T>
void ScaleRule<T>::set_quotients(std::span<const BitsOf<T>> magnitudes,
                                 GroupScales<T>& scales) const {
  const bool is_e4m3 = scale_.rule == Scale::Rule::e4m3;
  const std::size_t groups = magnitudes.size();
  if (is_e4m3) {
    const auto least = static_cast<T>(kE4M3.smallest()), most = static_cast<T>(kE4M3.largest());
    const T unit = largest_ * of_tensor_;
    for (std::size_t g = 0; g < groups; ++g) {
      const T in_units = from_bits<T>(magnitudes[g]) / unit;
      scales.before[g] = std::min(std::max(in_units, least), most);
    }
    T* const blocks = scales.before.data();
    quantize_part(kE4M3, {}, Part<T>{blocks, blocks, groups, 0, Stores::cached});
    for (std::size_t g = 0; g < groups; ++g) scales.before[g] *= of_tensor_;
  } else {
    for (std::size_t g = 0; g < groups; ++g) {
      scales.before[g] = from_bits<T>(magnitudes[g]) / largest_;
    }
  }
  const bool is_all_nan = std::isnan(of_tensor_);
  for (std::size_t g = 0; g < groups; ++g) {
    const T scale = normal_scale(scales.before[g]);
    const bool is_nan = is_all_nan || magnitudes[g] >= kInfinityBits<T>;
    const bool is_zero = magnitudes[g] == 0;
    scales.before[g] = is_nan || is_zero ? T{1} : scale;
    scales.behind[g] = is_nan ? kNan<T> : is_zero ? T{0} : scale;
  }
}

template <class T>
void ScaleRule<T>::set_mean(GroupScales<T>& scales, std::size_t group,
                            std::span<const T> members) const {
  const T mean = mean_scale(element_, members).scale;
  scales.before[group] = mean == 0 ? T{1} : mean;
  scales.behind[group] = mean;
}

template <class T>
void ScaleRule<T>::note_overflow(GroupScales<T>& scales) const {
  bool overflows = false;
  for (const T behind : scales.behind) overflows |= behind > overflow_begins_;
  scales.may_overflow = overflows;
}

template <class T>
Bounds<T> ScaleRule<T>::limits(const GroupScales<T>& scales, std::size_t group) const {
  const std::size_t g = scales.is_one() ? 0 : group;
  const T scale = scales.behind[g];
  if (std::isnan(scale)) return {scale, scale};
  const T lowest = has_zero_point() ? scales.lowest[g] : ends_.lowest;
  const T highest = has_zero_point() ? scales.highest[g] : ends_.highest;
  return {finite(scale * lowest), finite(scale * highest)};
}

template <class T>
bool ScaleRule<T>::overflows(const GroupScales<T>& scales, std::size_t group, T x,
                             const RandomStream& random, std::size_t index) const {
  const std::size_t g = scales.is_one() ? 0 : group;
  if (!std::isfinite(x) || std::isnan(scales.behind[g])) return false;
  const T quotient = multiplies_ ? x * scales.before[g] : x / scales.before[g];
  const Bounds<T> ends = has_zero_point() ? Bounds<T>{scales.lowest[g], scales.highest[g]} : ends_;
  if (!is_outside(ends, quotient)) return false;
  if (std::isinf(quotient)) return true;
  if (has_zero_point()) {
    const auto& fixed = std::get<FixedPoint>(element_);
    const double k =
        round_reference(static_cast<double>(quotient), fixed.rounding, draw(fixed, random, index));
    return k < ends.lowest || k > ends.highest;
  }
  return std::visit(
      [&](const auto& f) { return tensorquant::overflows(f, quotient, random, index); }, element_);
}

template class ScaleRule<float>;
template class ScaleRule<double>;

}  // namespace tensorquant
