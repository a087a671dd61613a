// The roundings of formats/rounding.h for vectors. Compiled once a target.
#if defined(TENSORQUANT_KERNELS_ROUNDING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_KERNELS_ROUNDING_INL_H_
#undef TENSORQUANT_KERNELS_ROUNDING_INL_H_
#else
#define TENSORQUANT_KERNELS_ROUNDING_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tensorquant/formats/rounding.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Stands for the roundings that few ask for, and for those of floats with one zero: one loop serves
// them all and looks in each vector
// which it is.
inline constexpr auto kRareRounding = static_cast<Rounding>(-1);

// run(constant) with the rounding as a compile-time constant, or kRareRounding.
template <class Run>
HWY_INLINE void WithRounding(Rounding rounding, const Run& run) {
  switch (rounding) {
    case Rounding::nearest_up:
    case Rounding::nearest_down:
    case Rounding::nearest_zero:
    case Rounding::odd:
      return run(std::integral_constant<Rounding, kRareRounding>());
    case Rounding::nearest:
      return run(std::integral_constant<Rounding, Rounding::nearest>());
    case Rounding::even:
      return run(std::integral_constant<Rounding, Rounding::even>());
    case Rounding::zero:
      return run(std::integral_constant<Rounding, Rounding::zero>());
    case Rounding::down:
      return run(std::integral_constant<Rounding, Rounding::down>());
    case Rounding::up:
      return run(std::integral_constant<Rounding, Rounding::up>());
    case Rounding::stochastic:
      return run(std::integral_constant<Rounding, Rounding::stochastic>());
  }
}

// Whether RoundVector keeps the sign of what it rounds to zero, as instructions for it do; without
// them Highway goes through integers.
inline constexpr bool kRoundingKeepsSign = HWY_ARCH_X86 && HWY_TARGET <= HWY_SSE4;

// The integer next to t, ties towards plus infinity.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V RoundTiesUp(D d, V t) {
  const V below = hn::Floor(t);
  // The distance is exact but for -1/2 < t < 0, where it is one half or more, as it should be.
  const auto goes_up = hn::Ge(hn::Sub(t, below), hn::Set(d, hn::TFromD<D>{0.5}));
  return hn::Add(below, hn::IfThenElseZero(goes_up, hn::Set(d, hn::TFromD<D>{1})));
}

// round_reference(t) for every rounding but stochastic; a zero may lose its sign.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V RoundVectorRarely(D d, V t, Rounding rounding) {
  using T = hn::TFromD<D>;
  switch (rounding) {
    case Rounding::even:
      return hn::Round(t);
    case Rounding::zero:
      return hn::Trunc(t);
    case Rounding::down:
      return hn::Floor(t);
    case Rounding::up:
      return hn::Ceil(t);
    case Rounding::nearest_up:
      return RoundTiesUp(d, t);
    default:
      break;
  }
  if (rounding == Rounding::nearest_down) return hn::Neg(RoundTiesUp(d, hn::Neg(t)));
  const V one = hn::Set(d, T{1});
  const V truncated = hn::Trunc(t);
  const V rest = hn::Sub(t, truncated);  // exact
  const V half = hn::Set(d, T{0.5});
  if (rounding == Rounding::nearest) {
    return hn::Add(truncated,
                   hn::IfThenElseZero(hn::Ge(hn::Abs(rest), half), hn::CopySign(one, t)));
  }
  if (rounding == Rounding::nearest_zero) {
    return hn::Add(truncated,
                   hn::IfThenElseZero(hn::Gt(hn::Abs(rest), half), hn::CopySign(one, t)));
  }
  const V halved = hn::Mul(truncated, half);
  const auto is_even = hn::Eq(halved, hn::Trunc(halved));
  const auto moves = hn::And(is_even, hn::Ne(rest, hn::Zero(d)));
  return hn::Add(truncated, hn::IfThenElseZero(moves, hn::CopySign(one, t)));
}

// round_reference(t) for every rounding but stochastic; a zero may lose its sign: see above.
// `which` is looked at for kRareRounding alone.
template <Rounding rounding, class D, class V = hn::Vec<D>>
HWY_INLINE V RoundVector(D d, V t, Rounding which) {
  using T = hn::TFromD<D>;
  if constexpr (rounding == kRareRounding) return RoundVectorRarely(d, t, which);
  if constexpr (rounding == Rounding::even) return hn::Round(t);
  if constexpr (rounding == Rounding::zero) return hn::Trunc(t);
  if constexpr (rounding == Rounding::down) return hn::Floor(t);
  if constexpr (rounding == Rounding::up) return hn::Ceil(t);
  // Ties away from zero. With the number just below one half the sum never reaches the next integer
  // by its own rounding.
  const V almost_half = hn::Set(d, std::nextafter(T{0.5}, T{0}));
  return hn::Trunc(hn::Add(t, hn::OrAnd(almost_half, t, hn::SignBit(d))));
}

// How Rounding::stochastic uses its random bits.
enum class Draws {
  compared,      // the distance from the integer below is compared with them
  compared_cut,  // it is cut first: random_bits
  added,         // the same, where there is room for them below the last place: they are added
};

// How the random words of a Draw become numbers: (word >> shift) * scale + offset.
template <class T>
struct UniformDraw {
  explicit UniformDraw(int random_bits)
      : shift(32 - (random_bits > 0 ? random_bits : 24)),
        scale(std::ldexp(T{1}, -(32 - shift))),
        inverse_scale(std::ldexp(T{1}, 32 - shift)),
        offset(random_bits > 0 ? scale : T{0}) {}

  int shift;
  T scale, inverse_scale, offset;
};

// run(halves, draws) as compile-time constants: whether one word serves two elements, and how it is
// used where rounded magnitudes have `integer_bits`.
template <class T, class Run>
HWY_INLINE void WithDraws(int random_bits, int integer_bits, const Run& run) {
  const std::integral_constant<Draws, Draws::compared> compared;
  const std::integral_constant<Draws, Draws::compared_cut> compared_cut;
  const std::integral_constant<Draws, Draws::added> added;
  if (random_bits == 0) return run(std::false_type(), compared);
  if (!draws_half_words(random_bits)) return run(std::false_type(), compared_cut);
  if (integer_bits + random_bits >= std::numeric_limits<T>::digits) {
    return run(std::true_type(), compared_cut);
  }
  run(std::true_type(), added);
}

template <class D, class V32>
HWY_INLINE hn::Vec<D> ToFloats(D d, V32 integers) {
  if constexpr (sizeof(hn::TFromD<D>) == 4) {
    return hn::ConvertTo(d, integers);
  } else {
    return hn::PromoteTo(d, integers);
  }
}

// round_reference(t, Rounding::stochastic); a zero may lose its sign.
template <Draws draws, class D, class V32, class V = hn::Vec<D>>
HWY_INLINE V RoundVectorAtRandom(D d, V t, const UniformDraw<hn::TFromD<D>>& draw, V32 words) {
  using T = hn::TFromD<D>;
  const hn::Rebind<std::int32_t, D> di32;
  const V bits = ToFloats(d, hn::BitCast(di32, hn::ShiftRightSame(words, draw.shift)));
  const V scale = hn::Set(d, draw.scale);
  if constexpr (draws == Draws::added) {
    // In units of the last random bit t goes up where it is more than `bits` above the integer
    // below. All sums are exact, fused or not, but for a t out of range, which stays there.
    const V t_bits = hn::Floor(hn::Mul(t, hn::Set(d, draw.inverse_scale)));
    const V all_bits = hn::Set(d, T{1} - draw.scale);
    return hn::Floor(hn::MulAdd(hn::Sub(t_bits, bits), scale, all_bits));
  } else {
    // Distances are taken from trunc(t), where they are exact; for negative t, whose lower
    // neighbour is one below trunc(t), distance and u both move down by one, which keeps u exact
    // too, fused or not.
    const V truncated = hn::Trunc(t);
    const V distance = hn::Sub(t, truncated);
    const auto is_negative = hn::Lt(t, hn::Zero(d));
    const V offset =
        hn::IfThenElse(is_negative, hn::Set(d, draw.offset - T{1}), hn::Set(d, draw.offset));
    const V u = hn::MulAdd(bits, scale, offset);
    const auto goes_up = draws == Draws::compared_cut ? hn::Le(u, distance) : hn::Lt(u, distance);
    // A positive t moves away from zero where it goes up, a negative one where it does not. Where t
    // is too large for a fraction it stays.
    const auto moves = hn::Xor(goes_up, is_negative);
    return hn::Add(truncated, hn::IfThenElseZero(moves, hn::CopySignToAbs(hn::Set(d, T{1}), t)));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_ROUNDING_INL_H_
