#include "tensorquant/kernels/floating_point.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/floating_point.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <limits>

#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"
#include "tensorquant/kernels/random-inl.h"
#include "tensorquant/kernels/rounding-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

template <class T>
inline constexpr int kStoredBits = std::numeric_limits<T>::digits - 1;

// What values beyond the largest one become.
template <class T>
struct OverflowConstants {
  explicit OverflowConstants(const FloatingPoint& format)
      : largest(static_cast<T>(format.largest())),
        positive(static_cast<T>(overflow_value(format, false))),
        negative(static_cast<T>(overflow_value(format, true))),
        infinity(format.overflow == FloatingPoint::Overflow::infinity
                     ? std::numeric_limits<T>::infinity()
                     : largest) {}

  T largest, positive, negative, infinity;
};

// The result for x, whose rounded magnitude is `magnitude`: overflow, infinities and the sign. A
// NaN gives anything.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Finish(D d, V magnitude, V x, const OverflowConstants<hn::TFromD<D>>& c) {
  using T = hn::TFromD<D>;
  const auto is_negative = hn::Lt(x, hn::Zero(d));
  const auto is_over = hn::Gt(magnitude, hn::Set(d, c.largest));
  const V over = hn::IfThenElse(is_negative, hn::Set(d, c.negative), hn::Set(d, c.positive));
  const V finite = hn::IfThenElse(is_over, over, hn::CopySign(magnitude, x));
  const auto is_infinite = hn::Eq(hn::Abs(x), hn::Set(d, std::numeric_limits<T>::infinity()));
  const V result = hn::IfThenElse(is_infinite, hn::CopySign(hn::Set(d, c.infinity), x), finite);
  return KeepNan(result, x);
}

// Exponents below T's own: x is scaled so that neighbours of the format are one apart, rounded
// there and scaled back; both scalings are by powers of two and exact.
template <class T>
struct ScaledRounding {
  using Bits = BitsOf<T>;

  explicit ScaledRounding(const FloatingPoint& format)
      : overflow(format),
        smallest_normal(to_bits(static_cast<T>(std::ldexp(1.0, format.min_exponent())))),
        largest_power(to_bits(static_cast<T>(std::ldexp(1.0, kMaxExponent<T>)))),
        significand_bits(Bits{static_cast<unsigned>(format.significand_bits)} << kStoredBits<T>) {}

  // round(d, t) rounds to an integer.
  template <class D, class V, class Round>
  HWY_INLINE V operator()(D d, V x, const Round& round) const {
    const hn::RebindToUnsigned<D> du;
    const auto exponent_mask = hn::Set(du, to_bits(std::numeric_limits<T>::infinity()));
    const auto power =
        hn::Min(hn::Max(hn::And(hn::BitCast(du, x), exponent_mask), hn::Set(du, smallest_normal)),
                hn::Set(du, largest_power));
    const auto shift = hn::Set(du, significand_bits);
    const V step = hn::BitCast(d, hn::Sub(power, shift));
    // The exponent fields of 2^e and 2^-e add up to twice the bias, which is the field of the
    // largest power.
    const auto both = hn::Set(du, largest_power);
    const V inverse_step = hn::BitCast(d, hn::Add(hn::Sub(both, power), shift));
    const V rounded = hn::Mul(round(d, hn::Mul(x, inverse_step)), step);
    return Finish(d, hn::Abs(rounded), x, overflow);
  }

  OverflowConstants<T> overflow;
  Bits smallest_normal, largest_power, significand_bits;
};

template <Rounding rounding, class T>
void RunScaled(const FloatingPoint& format, const Context& context, const Part<T>& part) {
  const ScaledRounding<T> quantize(format);
  if constexpr (rounding == Rounding::stochastic) {
    const UniformDraw<T> draw(format.random_bits);
    const bool halves = draws_half_words(format.random_bits);
    ForEachRandomVector(part, context, halves,
                        [&](auto d, auto x, const std::uint32_t* words) HWY_ATTR {
                          return quantize(d, x, [&](auto dt, auto t) HWY_ATTR {
                            return RoundVectorAtRandom(dt, t, draw, words);
                          });
                        });
  } else {
    const hn::ScalableTag<T> d;
    ForEachVector</*keeps_nan=*/false>(part, [&](auto x) HWY_ATTR {
      return quantize(d, x, [](auto dt, auto t) HWY_ATTR { return RoundVector<rounding>(dt, t); });
    });
  }
}

// Exponents as float32's: the neighbours of x in the format differ from it in the low bits alone,
// for subnormals too, so that rounding is integer addition and a mask.
struct BitRounding {
  explicit BitRounding(const FloatingPoint& format)
      : overflow(format),
        dropped_bits(23 - format.significand_bits),
        mask((1u << dropped_bits) - 1),
        random_bits(format.random_bits == 0 ? 24 : format.random_bits) {}

  // `grow` tells how much to add to the magnitude's bits before the low ones are cut.
  template <class D, class V, class Grow>
  HWY_INLINE V operator()(D d, V x, const Grow& grow) const {
    const hn::RebindToUnsigned<D> du;
    const auto magnitude = hn::BitCast(du, hn::Abs(x));
    const auto rounded = hn::AndNot(hn::Set(du, mask), hn::Add(magnitude, grow(du, magnitude)));
    return Finish(d, hn::BitCast(d, rounded), x, overflow);
  }

  template <Rounding rounding, class D, class V>
  HWY_INLINE V Round(D d, V x) const {
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
    });
  }

  // In units of 2^-24 of a step: the distance from the neighbour below, which for a negative x is
  // the larger magnitude. Cut to random_bits it is compared with as many random bits; above them x
  // goes up.
  template <class D, class V>
  HWY_INLINE V RoundAtRandom(D d, V x, const std::uint32_t* words) const {
    return (*this)(d, x, [&](auto du, auto magnitude) HWY_ATTR {
      const auto rest = hn::ShiftLeftSame(hn::And(magnitude, hn::Set(du, mask)), 24 - dropped_bits);
      const auto is_negative = hn::RebindMask(du, hn::Lt(x, hn::Zero(d)));
      const auto distance = hn::IfThenElse(is_negative, hn::Sub(hn::Set(du, 1u << 24), rest), rest);
      const auto u = hn::ShiftRightSame(hn::LoadU(du, words), 32 - random_bits);
      const auto goes_up = hn::Lt(u, hn::ShiftRightSame(distance, 24 - random_bits));
      const auto grows = hn::Xor(hn::VecFromMask(du, goes_up), hn::VecFromMask(du, is_negative));
      return hn::And(grows, hn::Set(du, mask));
    });
  }

  OverflowConstants<float> overflow;
  int dropped_bits;
  std::uint32_t mask;
  int random_bits;
};

template <Rounding rounding>
void RunBits(const FloatingPoint& format, const Context& context, const Part<float>& part) {
  const BitRounding quantize(format);
  if constexpr (rounding == Rounding::stochastic) {
    const bool halves = draws_half_words(format.random_bits);
    ForEachRandomVector(part, context, halves,
                        [&](auto d, auto x, const std::uint32_t* words)
                            HWY_ATTR { return quantize.RoundAtRandom(d, x, words); });
  } else {
    const hn::ScalableTag<float> d;
    ForEachVector</*keeps_nan=*/false>(
        part, [&](auto x) HWY_ATTR { return quantize.template Round<rounding>(d, x); });
  }
}

template <Rounding rounding, class T>
void RunRounding(const FloatingPoint& format, const Context& context, const Part<T>& part) {
  if constexpr (sizeof(T) == 4) {
    if (format.max_exponent() == kMaxExponent<T>) return RunBits<rounding>(format, context, part);
  }
  RunScaled<rounding>(format, context, part);
}

template <class T>
void RunFormat(const FloatingPoint& format, const Context& context, const Part<T>& part) {
  WithRounding(format.rounding,
               [&](auto rounding) HWY_ATTR { RunRounding<rounding.value>(format, context, part); });
}

void FloatingPoint32(const FloatingPoint& format, const Context& context, const Part<float>& part) {
  RunFormat(format, context, part);
}
void FloatingPoint64(const FloatingPoint& format, const Context& context,
                     const Part<double>& part) {
  RunFormat(format, context, part);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(FloatingPoint32);
HWY_EXPORT(FloatingPoint64);

void quantize(const FloatingPoint& format, std::span<const float> in, std::span<float> out,
              const Context& context) {
  for_each_part(in, out, [&](const Part<float>& part) {
    HWY_DYNAMIC_DISPATCH(FloatingPoint32)(format, context, part);
  });
}

void quantize(const FloatingPoint& format, std::span<const double> in, std::span<double> out,
              const Context& context) {
  for_each_part(in, out, [&](const Part<double>& part) {
    HWY_DYNAMIC_DISPATCH(FloatingPoint64)(format, context, part);
  });
}

}  // namespace tensorquant
#endif  // HWY_ONCE
