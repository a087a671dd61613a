#include "tensorquant/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/floating_point.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"
#include "tensorquant/kernels/random-inl.h"
#include "tensorquant/kernels/rounding-inl.h"
#include "tensorquant/kernels/scaled_rounding-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// The results of scaled rounding beyond the format's largest value. Where they saturate, which is
// no rare event, vectors do it themselves but for infinities.
template <bool saturating, class T>
auto SpecialOf(const FloatingPoint& format) {
  const auto largest = static_cast<T>(format.largest());
  const auto infinite = static_cast<T>(infinity_value(format));
  const bool is_nan = std::isnan(infinite);
  const auto infinity_result = [=](auto d, auto y, auto x) HWY_ATTR {
    const auto infinity = hn::Set(d, std::numeric_limits<T>::infinity());
    const auto value = hn::Set(d, infinite);
    const auto signed_value = is_nan ? value : hn::CopySign(value, x);
    return hn::IfThenElse(hn::Eq(hn::Abs(x), infinity), signed_value, y);
  };
  if constexpr (saturating) {
    return SpecialInfinities<decltype(infinity_result)>{infinity_result};
  } else {
    const auto positive = static_cast<T>(overflow_value(format, false));
    const auto negative = static_cast<T>(overflow_value(format, true));
    const auto result = [=](auto d, auto y, auto x) HWY_ATTR {
      const auto is_over = hn::Gt(hn::Abs(y), hn::Set(d, largest));
      const auto is_negative = hn::Lt(x, hn::Zero(d));
      const auto over = hn::IfThenElse(is_negative, hn::Set(d, negative), hn::Set(d, positive));
      return infinity_result(d, hn::IfThenElse(is_over, over, y), x);
    };
    return SpecialBeyond<T, decltype(result)>{largest, result};
  }
}

template <Rounding rounding, bool saturating, class T>
void RunScaled(const FloatingPoint& format, const RandomStream& random, const Part<T>& part) {
  const ScaledRounding<saturating, T> quantize(format.largest(), format.min_exponent(),
                                               format.significand_bits);
  const auto special = SpecialOf<saturating, T>(format);
  // Only a sum turns -0 into the one zero of a format.
  const bool one_zero = !format.has_negative_zero();
  const auto with_sign = [=](auto d, auto y, auto x) HWY_ATTR {
    return one_zero ? hn::Add(y, hn::Zero(d)) : hn::CopySign(y, x);
  };
  if constexpr (rounding == Rounding::stochastic) {
    const UniformDraw<T> draw(format.random_bits);
    const int integer_bits = format.significand_bits + 1;
    WithDraws<T>(format.random_bits, integer_bits, [&](auto halves, auto draws) HWY_ATTR {
      ForEachRandomVector<halves>(part, random, special, [&](auto d, auto x, auto words) HWY_ATTR {
        const auto y = quantize(d, x, [&](auto dt, auto t) HWY_ATTR {
          return RoundVectorAtRandom<draws>(dt, t, draw, words);
        });
        return with_sign(d, y, x);
      });
    });
  } else {
    const hn::ScalableTag<T> d;
    constexpr bool kFuses = rounding == Rounding::even && saturating;
    ForEachVector<kFuses>(part, special, [=](auto x) HWY_ATTR {
      const auto y = quantize(d, x, [&](auto dt, auto t) HWY_ATTR {
        return RoundVector<rounding>(dt, t, format.rounding);
      });
      if constexpr (rounding == kRareRounding) return with_sign(d, y, x);
      return kRoundingKeepsSign ? y : hn::CopySign(y, x);
    });
  }
}

// Exponents as float32's: the neighbours of x in the format differ from it in the low bits alone,
// for subnormals too, so that rounding is integer addition and a mask. Beyond the largest value it
// gives infinity, and only where that is the rounding's direction.
template <bool saturating>
struct BitRounding {
  explicit BitRounding(const FloatingPoint& format)
      : largest(to_bits(static_cast<float>(format.largest()))),
        dropped_bits(23 - format.significand_bits),
        mask((1u << dropped_bits) - 1),
        random_bits(format.random_bits == 0 ? 24 : format.random_bits) {}

  // `grow` tells how much to add to the magnitude's bits before the low ones are cut.
  template <class D, class V, class Grow>
  HWY_INLINE V operator()(D d, V x, const Grow& grow) const {
    const hn::RebindToUnsigned<D> du;
    const auto magnitude = hn::BitCast(du, hn::Abs(x));
    const auto rounded = hn::AndNot(hn::Set(du, mask), hn::Add(magnitude, grow(du, magnitude)));
    const auto y = saturating ? hn::Min(rounded, hn::Set(du, largest)) : rounded;
    return hn::CopySignToAbs(hn::BitCast(d, y), x);
  }

  template <Rounding rounding, class D, class V>
  HWY_INLINE V Round(D d, V x, Rounding which) const {
    return (*this)(d, x, [&](auto du, auto magnitude) HWY_ATTR {
      const auto zero = hn::Zero(du);
      const auto all = hn::Set(du, mask);
      const auto is_negative = hn::RebindMask(du, hn::Lt(x, hn::Zero(d)));
      if constexpr (rounding == Rounding::zero) return zero;
      if constexpr (rounding == Rounding::down) return hn::IfThenElse(is_negative, all, zero);
      if constexpr (rounding == Rounding::up) return hn::IfThenElse(is_negative, zero, all);
      if constexpr (rounding == Rounding::nearest) {
        return hn::Set(du, dropped_bits == 0 ? 0 : 1u << (dropped_bits - 1));
      }
      if constexpr (rounding == Rounding::even) {
        const auto last_kept = hn::ShiftRightSame(magnitude, dropped_bits);
        const auto is_odd = hn::And(last_kept, hn::Set(du, dropped_bits == 0 ? 0u : 1u));
        return hn::Add(hn::Set(du, mask >> 1), is_odd);
      }
      if constexpr (rounding == kRareRounding) {
        if (which == Rounding::odd) {
          const auto last_kept = hn::And(magnitude, hn::Set(du, mask + 1));
          return hn::IfThenElse(hn::Eq(last_kept, zero), all, zero);
        }
        // Ties towards zero, or where the sign wants it away from zero.
        const auto below_half = hn::Set(du, mask >> 1);
        if (which == Rounding::nearest_zero) return below_half;
        const auto ties_away = which == Rounding::nearest_up ? hn::Not(is_negative) : is_negative;
        const auto one = hn::Set(du, dropped_bits == 0 ? 0u : 1u);
        return hn::Add(below_half, hn::IfThenElseZero(ties_away, one));
      }
    });
  }

  // In units of 2^-24 of a step: the distance from the neighbour below, which for a negative x is
  // the larger magnitude. Cut to random_bits it is compared with as many random bits; above them x
  // goes up.
  template <class D, class V, class V32>
  HWY_INLINE V RoundAtRandom(D d, V x, V32 words) const {
    return (*this)(d, x, [&](auto du, auto magnitude) HWY_ATTR {
      const auto rest = hn::ShiftLeftSame(hn::And(magnitude, hn::Set(du, mask)), 24 - dropped_bits);
      const auto is_negative = hn::RebindMask(du, hn::Lt(x, hn::Zero(d)));
      const auto distance = hn::IfThenElse(is_negative, hn::Sub(hn::Set(du, 1u << 24), rest), rest);
      const auto u = hn::ShiftRightSame(words, 32 - random_bits);
      const auto goes_up = hn::Lt(u, hn::ShiftRightSame(distance, 24 - random_bits));
      return hn::IfThenElseZero(hn::Xor(goes_up, is_negative), hn::Set(du, mask));
    });
  }

  std::uint32_t largest;
  int dropped_bits;
  std::uint32_t mask;
  int random_bits;
};

template <Rounding rounding, bool saturating, class Special>
void RunBits(const FloatingPoint& format, const RandomStream& random, const Part<float>& part,
             const Special& special) {
  const BitRounding<saturating> quantize(format);
  if constexpr (rounding == Rounding::stochastic) {
    const auto run = [&](auto halves) HWY_ATTR {
      ForEachRandomVector<halves>(part, random, special, [&](auto d, auto x, auto words) HWY_ATTR {
        return quantize.RoundAtRandom(d, x, words);
      });
    };
    draws_half_words(format.random_bits) ? run(std::true_type()) : run(std::false_type());
  } else {
    const hn::ScalableTag<float> d;
    ForEachVector(part, special, [=](auto x) HWY_ATTR {
      return quantize.template Round<rounding>(d, x, format.rounding);
    });
  }
}

template <Rounding rounding, class T>
void RunRounding(const FloatingPoint& format, const RandomStream& random, const Part<T>& part) {
  if constexpr (sizeof(T) == 4) {
    const bool has_exponents_of_type =
        format.max_exponent() == kMaxExponent<T> && format.min_exponent() == 1 - kMaxExponent<T>;
    if (has_exponents_of_type && format.special == FloatingPoint::Special::ieee) {
      switch (format.overflow) {
        case FloatingPoint::Overflow::saturate:
          return RunBits<rounding, true>(format, random, part, KeepsNan());
        case FloatingPoint::Overflow::propagate:
          return RunBits<rounding, true>(format, random, part, SpecialOf<true, T>(format));
        default:
          return RunBits<rounding, false>(format, random, part, KeepsNan());
      }
    }
    if (format.last_bit() < 1 - kMaxExponent<T>) return RunReference(format, random, part);
  }
  format.saturates() ? RunScaled<rounding, true>(format, random, part)
                     : RunScaled<rounding, false>(format, random, part);
}

template <class T>
void RunFormat(const FloatingPoint& format, const RandomStream& random, const Part<T>& part) {
  // So that the loops of the others need not ask for it.
  if (!format.has_negative_zero() && !is_random(format)) {
    return RunRounding<kRareRounding>(format, random, part);
  }
  WithRounding(format.rounding,
               [&](auto rounding) HWY_ATTR { RunRounding<rounding.value>(format, random, part); });
}

void FloatingPoint32(const FloatingPoint& format, const RandomStream& random,
                     const Part<float>& part) {
  RunFormat(format, random, part);
}
void FloatingPoint64(const FloatingPoint& format, const RandomStream& random,
                     const Part<double>& part) {
  RunFormat(format, random, part);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(FloatingPoint32);
HWY_EXPORT(FloatingPoint64);

void quantize_part(const FloatingPoint& format, const RandomStream& random,
                   const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(FloatingPoint32)(format, random, part);
}
void quantize_part(const FloatingPoint& format, const RandomStream& random,
                   const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(FloatingPoint64)(format, random, part);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
