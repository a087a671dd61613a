#ifndef TENSORQUANT_FORMATS_SCALED_H_
#define TENSORQUANT_FORMATS_SCALED_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/context.h"
#include "tensorquant/formats/element_format.h"
#include "tensorquant/formats/facts.h"
#include "tensorquant/formats/scale.h"

namespace tensorquant {

// An element format whose elements share scales, in groups: Q(x) = s * element(x / s), a division
// and a product in the tensor's type T around the element format as it is.
//
// A NaN or an infinity makes its group NaN, as hardware's shared scale would be (the whole tensor
// for Rule::e4m3); given scales and means do not: infinities are rounded as the element format
// does. NaN keeps its bits where the element format keeps them. In a group of zeros alone all
// results are zeros. A result beyond T's range is T's largest value.
struct Scaled {
  ElementFormat element;
  Scale scale;
  static constexpr bool is_grid = false;  // see GridFormat
  bool operator==(const Scaled&) const = default;
};

// The element format's largest value in T.
template <class T>
T largest_value(const ElementFormat& element) {
  return std::visit([](const auto& f) { return bounds<T>(f).highest; }, element);
}

// A power-of-two scale is 2^(floor(log2 amax) + up - exponent), clamped to E8M0's range, where up
// is 1 for significands of amax in [1, 2) that reach `threshold`, which may be 2: none does.
inline constexpr int kMaxScaleExponent = 127;
struct PowerOfTwoRule {
  int exponent;
  double threshold;
};
PowerOfTwoRule power_of_two_rule(const Scaled& format, double largest);

// What a scale that is no power of two is where its group asks for `scale`, which may be beyond T's
// range: a normal number.
template <class T>
T normal_scale(T scale) {
  return std::clamp(scale, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
}

// OFP8 E4M3, which the scales of Rule::e4m3 are rounded to.
inline constexpr FloatingPoint kE4M3 = {
    .exponent_bits = 4, .significand_bits = 3, .special = FloatingPoint::Special::fn};

// Rule::mean: s is the mean magnitude of the group's finite elements, of ternary of those above
// their threshold, added in doubles in the order of kSumLanes and rounded to T; 0 where there are
// none. An element of ternary is compared with the threshold before it is divided.
template <class T>
struct MeanScale {
  T scale;
  double threshold;  // of ternary
};
template <class T>
MeanScale<T> mean_scale(const ElementFormat& element, std::span<const T> group);

// The number, and the zero point, that the format would find in a group with these ends; nothing
// for a group of zeros or one that is not finite. Not for Rule::e4m3 and Rule::mean.
template <class T>
std::optional<Scale> given_scale(const Scaled& format, T lowest, T highest);

// The ends of the integers q - z for the zero point z.
struct IntegerEnds {
  double lowest;
  double highest;
};
inline IntegerEnds shifted_ends(const FixedPoint& format, double zero) {
  return {format.lowest_integer() - zero, format.highest_integer() - zero};
}
// A format that rounds to those integers without a bound of its own among them.
inline FixedPoint unbounded(FixedPoint format) {
  format.is_unsigned = false;
  format.overflow = FixedPoint::Overflow::saturate;
  format.bits += 2;
  return format;
}
// Formats with zero points have at most so many bits: T holds q - z.
inline constexpr int kMaxZeroPointBits = 24;

template <class T>
void quantize_reference(const Scaled& format, std::span<const T> in, std::span<T> out,
                        const Context& context = {});

// The same as two factors: q = element(x / s), of integers less their zero point, and the scale s
// of each group of grouping(), NaN where the group is. s * q, a product in T with T's largest value
// in place of an infinity, is what quantize_reference() gives, but for the bits of NaN.
template <class T>
struct ScaledParts {
  std::vector<T> q;
  std::vector<T> scales;
};
template <class T>
ScaledParts<T> split_reference(const Scaled& format, std::span<const T> in,
                               const Context& context = {});

// Which finite numbers of a tensor the element format overflows at, once they are divided by their
// scale. None of a group that is NaN.
template <class T>
void overflows_reference(const Scaled& format, std::span<const T> x, std::span<bool> over,
                         const Context& context = {});

// What a tensor can become; infinite where the scale is found in it.
template <class T>
Bounds<T> bounds(const Scaled& format);

// dx = dy where x lies between the extreme values of its group, else 0; NaN, and groups that are
// NaN, give 0.
template <class T>
void clipped_gradient_reference(const Scaled& format, std::span<const T> x, std::span<const T> dy,
                                std::span<T> dx, const Context& context = {});

// Whether it looks for them in the tensor.
inline bool finds_scales(const Scaled& format) { return format.scale.rule != Scale::Rule::number; }
bool is_random(const Scaled& format);
bool is_elementwise(const Scaled& format);
// Whether it asks the context for the meaning of axes.
inline bool needs_layout(const Scaled& format) { return format.scale.per != Scale::Per::tensor; }
// Those of the element format times s, where that is given.
template <class T>
FormatFacts facts(const Scaled& format);
template <class T>
std::vector<double> values(const Scaled& format);
bool fits(const Scaled& format, const FloatingPoint& type);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_SCALED_H_
