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

// What becomes of integers out of range. One loop serves those that few ask for and looks in each
// vector which it is: zero, wrap without a sign, sign_magnitude.
enum class Range { clamp, wrap, rare };

inline Range range_of(const FixedPoint& format) {
  if (format.saturates()) return Range::clamp;
  return format.overflow == FixedPoint::Overflow::wrap && !format.is_unsigned ? Range::wrap
                                                                              : Range::rare;
}

// The format's constants in the tensor's type.
template <class T>
struct FixedPointConstants {
  explicit FixedPointConstants(const FixedPoint& format)
      : scale(std::ldexp(T{1}, format.fraction)),
        step(std::ldexp(T{1}, -format.fraction)),
        lowest(truncate_to<T>(format.lowest_integer())),
        highest(truncate_to<T>(format.highest_integer())),
        modulus(std::ldexp(T{1}, format.bits)),
        overflow(format.overflow) {}

  T scale, step, lowest, highest, modulus;
  FixedPoint::Overflow overflow;
};

// x * 2^fraction. A product too small for T is replaced by x itself, which is small too and rounds
// the same way; roundings to the nearest and towards zero give 0 for both.
template <bool scales_down, class D, class V = hn::Vec<D>>
HWY_INLINE V Scale(D d, V x, const FixedPointConstants<hn::TFromD<D>>& c) {
  const V t = hn::Mul(x, hn::Set(d, c.scale));
  if constexpr (!scales_down) return t;
  return hn::IfThenElse(hn::Eq(t, hn::Zero(d)), x, t);
}

// a + b cut towards zero.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V TruncatedSum(D d, V a, V b) {
  const hn::RebindToUnsigned<D> du;
  const V sum = hn::Add(a, b);
  const V b_part = hn::Sub(sum, a);
  const V error = hn::Add(hn::Sub(a, hn::Sub(sum, b_part)), hn::Sub(b, b_part));
  const V zero = hn::Zero(d);
  const auto is_too_large = hn::Or(hn::And(hn::Gt(sum, zero), hn::Lt(error, zero)),
                                   hn::And(hn::Lt(sum, zero), hn::Gt(error, zero)));
  const V below = hn::BitCast(d, hn::Sub(hn::BitCast(du, sum), hn::Set(du, 1)));
  return hn::IfThenElse(is_too_large, below, sum);
}

// k modulo 2^bits in [-2^(bits-1), 2^(bits-1)).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V WrapSigned(D d, V turns, const FixedPointConstants<hn::TFromD<D>>& c) {
  // k / 2^bits less its nearest integer is in [-1/2, 1/2], exactly; 1/2 belongs to the other end.
  const V rest = hn::Sub(turns, hn::Round(turns));
  const V half = hn::Set(d, hn::TFromD<D>{0.5});
  const V wrapped = hn::IfThenElse(hn::Eq(rest, half), hn::Neg(half), rest);
  return hn::Mul(wrapped, hn::Set(d, c.modulus));
}

// k modulo 2^bits in [0, 2^bits), cut towards zero where it has too many bits.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V WrapUnsigned(D d, V turns, const FixedPointConstants<hn::TFromD<D>>& c) {
  const V modulus = hn::Set(d, c.modulus);
  const V rest = hn::Mul(hn::Sub(turns, hn::Trunc(turns)), modulus);  // exact, with k's sign
  return hn::IfThenElse(hn::Lt(rest, hn::Zero(d)), TruncatedSum(d, rest, modulus), rest);
}

// The same for FixedPoint::Overflow::sign_magnitude.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V WrapSignMagnitude(D d, V turns, const FixedPointConstants<hn::TFromD<D>>& c) {
  using T = hn::TFromD<D>;
  const V wrapped = WrapSigned(d, turns, c);
  const V half_turns = hn::Mul(hn::Floor(turns), hn::Set(d, T{0.5}));
  const auto lost_bit = hn::Ne(half_turns, hn::Floor(half_turns));
  const auto inverts = hn::Xor(lost_bit, hn::Lt(wrapped, hn::Zero(d)));
  return hn::IfThenElse(inverts, TruncatedSum(d, hn::Set(d, T{-1}), hn::Neg(wrapped)), wrapped);
}

// The value of an integer of the format. The product is exact, so it does not matter whether the
// sum is fused. -0 + 0 = +0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ValueOf(D d, V integer, const FixedPointConstants<hn::TFromD<D>>& c) {
  return hn::MulAdd(integer, hn::Set(d, c.step), hn::Zero(d));
}

// The value of the format for the integer k that x, no NaN, was rounded to; Range::wrap and rare
// take NaN too.
template <Range range, class D, class V = hn::Vec<D>>
HWY_INLINE V FromInteger(D d, V k, V x, const FixedPointConstants<hn::TFromD<D>>& c) {
  using T = hn::TFromD<D>;
  const V lowest = hn::Set(d, c.lowest), highest = hn::Set(d, c.highest);
  if constexpr (range == Range::clamp) {
    return ValueOf(d, hn::Max(hn::Min(k, highest), lowest), c);
  } else {
    if (range == Range::rare && c.overflow == FixedPoint::Overflow::zero) {
      const auto is_in_range = hn::And(hn::Ge(k, lowest), hn::Le(k, highest));
      const V y = ValueOf(d, hn::IfThenElseZero(is_in_range, k), c);
      return hn::IfThenElse(hn::IsNaN(x), x, y);
    }
    const V turns = hn::Mul(k, hn::Set(d, T{1} / c.modulus));
    const auto integer = [&]() HWY_ATTR {
      if (range == Range::wrap) return WrapSigned(d, turns, c);
      return c.overflow == FixedPoint::Overflow::wrap ? WrapUnsigned(d, turns, c)
                                                      : WrapSignMagnitude(d, turns, c);
    };
    // An infinite k stands for a finite integer whose last bits are all zero; without this it would
    // give NaN.
    const auto is_finite_k = hn::Le(hn::Abs(k), hn::Set(d, std::numeric_limits<T>::max()));
    const V y = ValueOf(d, hn::IfThenElseZero(is_finite_k, integer()), c);
    return hn::IfThenElse(hn::IsFinite(x), y, hn::Set(d, std::numeric_limits<T>::quiet_NaN()));
  }
}

template <Rounding rounding, Range range, bool scales_down, class T>
void Run(const FixedPoint& format, const RandomStream& random, const Part<T>& part) {
  using Special = std::conditional_t<range == Range::clamp, KeepsNan, NothingSpecial>;
  const FixedPointConstants<T> c(format);
  if constexpr (rounding == Rounding::stochastic) {
    const UniformDraw<T> draw(format.random_bits);
    // Wrapping needs all of a large integer.
    constexpr int kNoRoom = std::numeric_limits<T>::digits;
    const int integer_bits = format.wraps() ? kNoRoom : format.magnitude_bits();
    WithDraws<T>(format.random_bits, integer_bits, [&](auto halves, auto draws) HWY_ATTR {
      ForEachRandomVector<halves>(
          part, random, Special(), [&](auto d, auto x, auto words) HWY_ATTR {
            const auto t = Scale<scales_down>(d, x, c);
            return FromInteger<range>(d, RoundVectorAtRandom<draws>(d, t, draw, words), x, c);
          });
    });
  } else {
    const hn::ScalableTag<T> d;
    constexpr bool kFuses = rounding == Rounding::even && range == Range::clamp && !scales_down;
    ForEachVector<kFuses>(part, Special(), [=](auto x) HWY_ATTR {
      const auto t = Scale<scales_down>(d, x, c);
      return FromInteger<range>(d, RoundVector<rounding>(d, t, format.rounding), x, c);
    });
  }
}

template <Rounding rounding, Range range, class T>
void RunRange(const FixedPoint& format, const RandomStream& random, const Part<T>& part) {
  constexpr bool tiny_counts = rounding == Rounding::up || rounding == Rounding::down ||
                               rounding == Rounding::stochastic || rounding == kRareRounding;
  if (tiny_counts && format.fraction < 0) {
    Run<rounding, range, tiny_counts>(format, random, part);
  } else {
    Run<rounding, range, false>(format, random, part);
  }
}

template <Rounding rounding, class T>
void RunRounding(const FixedPoint& format, const RandomStream& random, const Part<T>& part) {
  switch (range_of(format)) {
    case Range::clamp:
      return RunRange<rounding, Range::clamp>(format, random, part);
    case Range::wrap:
      return RunRange<rounding, Range::wrap>(format, random, part);
    case Range::rare:
      return RunRange<rounding, Range::rare>(format, random, part);
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

void quantize_part(const FixedPoint& format, const RandomStream& random, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(FixedPoint32)(format, random, part);
}
void quantize_part(const FixedPoint& format, const RandomStream& random, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(FixedPoint64)(format, random, part);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
