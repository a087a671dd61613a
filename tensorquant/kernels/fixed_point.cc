#include "tensorquant/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/fixed_point.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <limits>
#include <type_traits>

#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"
#include "tensorquant/kernels/random-inl.h"
#include "tensorquant/kernels/rounding-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// The format's constants in the tensor's type.
template <class T>
struct FixedPointConstants {
  explicit FixedPointConstants(const FixedPoint& format)
      : scale(std::ldexp(T{1}, format.fraction)),
        step(std::ldexp(T{1}, -format.fraction)),
        lowest(static_cast<T>(format.lowest_integer())),
        highest(round_down_to<T>(format.highest_integer())),
        modulus(std::ldexp(T{1}, format.bits)) {}

  T scale, step, lowest, highest, modulus;
};

// x * 2^fraction. A product too small for T is replaced by x itself, which is small too and rounds
// the same way; roundings to the nearest and towards zero give 0 for both.
template <bool scales_down, class D, class V = hn::Vec<D>>
HWY_INLINE V Scale(D d, V x, const FixedPointConstants<hn::TFromD<D>>& c) {
  const V t = hn::Mul(x, hn::Set(d, c.scale));
  if constexpr (!scales_down) return t;
  return hn::IfThenElse(hn::Eq(t, hn::Zero(d)), x, t);
}

// The value of the format for the integer k that x, no NaN, was rounded to; wrapping takes NaN too.
template <FixedPoint::Overflow overflow, class D, class V = hn::Vec<D>>
HWY_INLINE V FromInteger(D d, V k, V x, const FixedPointConstants<hn::TFromD<D>>& c) {
  using T = hn::TFromD<D>;
  if constexpr (overflow == FixedPoint::Overflow::saturate) {
    const V clamped = hn::Max(hn::Min(k, hn::Set(d, c.highest)), hn::Set(d, c.lowest));
    // The product is exact, so it does not matter whether the sum is fused. -0 + 0 = +0.
    return hn::MulAdd(clamped, hn::Set(d, c.step), hn::Zero(d));
  } else {
    // k / 2^bits less its nearest integer is in [-1/2, 1/2], exactly; 1/2 belongs to the other end.
    const V turns = hn::Mul(k, hn::Set(d, T{1} / c.modulus));
    const V rest = hn::Sub(turns, hn::Round(turns));
    const V half = hn::Set(d, T{0.5});
    const V wrapped = hn::IfThenElse(hn::Eq(rest, half), hn::Neg(half), rest);
    // An infinite k stands for a finite integer whose last bits are all zero; without this it would
    // give NaN.
    const auto is_finite_k = hn::Le(hn::Abs(k), hn::Set(d, std::numeric_limits<T>::max()));
    const V integer = hn::Mul(hn::IfThenElseZero(is_finite_k, wrapped), hn::Set(d, c.modulus));
    const V y = hn::Add(hn::Mul(integer, hn::Set(d, c.step)), hn::Zero(d));
    return hn::IfThenElse(hn::IsFinite(x), y, hn::Set(d, std::numeric_limits<T>::quiet_NaN()));
  }
}

template <Rounding rounding, FixedPoint::Overflow overflow, bool scales_down, class T>
void Run(const FixedPoint& format, const RandomStream& random, const Part<T>& part) {
  using Special =
      std::conditional_t<overflow == FixedPoint::Overflow::saturate, KeepsNan, NothingSpecial>;
  const FixedPointConstants<T> c(format);
  if constexpr (rounding == Rounding::stochastic) {
    const UniformDraw<T> draw(format.random_bits);
    // Wrapping needs all of a large integer.
    constexpr int kNoRoom = std::numeric_limits<T>::digits;
    const int integer_bits = overflow == FixedPoint::Overflow::wrap ? kNoRoom : format.bits - 1;
    WithDraws<T>(format.random_bits, integer_bits, [&](auto halves, auto draws) HWY_ATTR {
      ForEachRandomVector<halves>(
          part, random, Special(), [&](auto d, auto x, auto words) HWY_ATTR {
            const auto t = Scale<scales_down>(d, x, c);
            return FromInteger<overflow>(d, RoundVectorAtRandom<draws>(d, t, draw, words), x, c);
          });
    });
  } else {
    const hn::ScalableTag<T> d;
    ForEachVector(part, Special(), [&](auto x) HWY_ATTR {
      const auto t = Scale<scales_down>(d, x, c);
      return FromInteger<overflow>(d, RoundVector<rounding>(d, t), x, c);
    });
  }
}

template <Rounding rounding, class T>
void RunRounding(const FixedPoint& format, const RandomStream& random, const Part<T>& part) {
  using enum FixedPoint::Overflow;
  constexpr bool tiny_counts =
      rounding == Rounding::up || rounding == Rounding::down || rounding == Rounding::stochastic;
  const bool scales_down = tiny_counts && format.fraction < 0;
  if (format.overflow == saturate) {
    scales_down ? Run<rounding, saturate, tiny_counts>(format, random, part)
                : Run<rounding, saturate, false>(format, random, part);
  } else {
    scales_down ? Run<rounding, wrap, tiny_counts>(format, random, part)
                : Run<rounding, wrap, false>(format, random, part);
  }
}

template <class T>
void RunFormat(const FixedPoint& format, const RandomStream& random, const Part<T>& part) {
  WithRounding(format.rounding,
               [&](auto rounding) HWY_ATTR { RunRounding<rounding.value>(format, random, part); });
}

void FixedPoint32(const FixedPoint& format, const RandomStream& random, const Part<float>& part) {
  RunFormat(format, random, part);
}
void FixedPoint64(const FixedPoint& format, const RandomStream& random, const Part<double>& part) {
  RunFormat(format, random, part);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(FixedPoint32);
HWY_EXPORT(FixedPoint64);

void quantize(const FixedPoint& format, std::span<const float> in, std::span<float> out,
              const Context& context) {
  for_each_part(in, out, [&](const Part<float>& part) {
    HWY_DYNAMIC_DISPATCH(FixedPoint32)(format, context.random(), part);
  });
}

void quantize(const FixedPoint& format, std::span<const double> in, std::span<double> out,
              const Context& context) {
  for_each_part(in, out, [&](const Part<double>& part) {
    HWY_DYNAMIC_DISPATCH(FixedPoint64)(format, context.random(), part);
  });
}

}  // namespace tensorquant
#endif  // HWY_ONCE
