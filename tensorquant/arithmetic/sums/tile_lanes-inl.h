// Formats whose rounding the loops over tiles have in their own vectors. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_TILE_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_TILE_LANES_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_TILE_LANES_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_TILE_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <variant>

#include "tensorquant/arithmetic/sums/tile_steps.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/rounding-inl.h"
#include "tensorquant/kernels/scaled_rounding-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D64 = hn::ScalableTag<double>;
using V64 = hn::Vec<D64>;
using V32 = hn::Vec<hn::Rebind<std::uint32_t, D64>>;

// Each rounds a vector; those at random take their random words, too.
struct KeepsLanes {
  static constexpr bool kIsRandom = false;
  HWY_INLINE V64 operator()(V64 x) const { return x; }
};

// To an integer; kRareRounding asks in each vector which way.
template <Rounding rounding>
struct IntegerRounding {
  static constexpr bool kIsRandom = false;
  static constexpr bool kKeepsSign = kRoundingKeepsSign && rounding != kRareRounding;
  HWY_INLINE V64 operator()(V64 t) const { return RoundVector<rounding>(D64(), t, which); }

  Rounding which;
};

template <Draws draws>
struct RandomIntegerRounding {
  static constexpr bool kIsRandom = true;
  static constexpr bool kKeepsSign = false;
  HWY_INLINE V64 operator()(V64 t, V32 words) const {
    return RoundVectorAtRandom<draws>(D64(), t, draw, words);
  }

  UniformDraw<double> draw;
};

template <bool wraps, class ToInteger>
struct FixedLanes {
  static constexpr bool kIsRandom = ToInteger::kIsRandom;

  FixedLanes(const FixedLaneFormat& f, ToInteger given)
      : rounding(given),
        scale(hn::Set(D64(), std::ldexp(1.0, f.fraction))),
        step(hn::Set(D64(), std::ldexp(1.0, -f.fraction))),
        lowest(hn::Set(D64(), f.lowest)),
        highest(hn::Set(D64(), f.highest)),
        period(hn::Set(D64(), f.highest - f.lowest + 1)),
        inverse_period(hn::Set(D64(), 1 / (f.highest - f.lowest + 1))) {}

  template <class... Words>
  HWY_INLINE V64 operator()(V64 x, Words... words) const {
    const D64 d;
    const V64 k = rounding(hn::Mul(x, scale), words...);
    V64 in_range;
    if constexpr (wraps) {
      // A power of two, so that all of this is exact, however large k is: at most half a period is
      // left, on either side.
      const V64 periods = hn::Round(hn::Mul(k, inverse_period));
      const V64 rest = hn::NegMulAdd(periods, period, k);
      const V64 raised = hn::IfThenElse(hn::Lt(rest, lowest), hn::Add(rest, period), rest);
      in_range = hn::IfThenElse(hn::Gt(raised, highest), hn::Sub(raised, period), raised);
    } else {
      in_range = hn::Max(hn::Min(k, highest), lowest);
    }
    return hn::MulAdd(in_range, step, hn::Zero(d));  // -0 + 0 = +0
  }

  ToInteger rounding;
  V64 scale, step, lowest, highest, period, inverse_period;
};

template <bool overflows, class ToInteger>
struct FloatLanes {
  static constexpr bool kIsRandom = ToInteger::kIsRandom;

  FloatLanes(const FloatLaneFormat& f, ToInteger given)
      : rounding(given),
        has_negative_zero(f.has_negative_zero),
        scaled(f.highest, f.min_exponent, f.significand_bits),
        highest(hn::Set(D64(), f.highest)),
        overflow(hn::Set(D64(), f.overflow.value_or(f.highest))) {}

  template <class... Words>
  HWY_INLINE V64 operator()(V64 x, Words... words) const {
    const D64 d;
    V64 y = scaled(d, x, [&](auto, auto t) HWY_ATTR { return rounding(t, words...); });
    if constexpr (overflows) {
      y = hn::IfThenElse(hn::Gt(hn::Abs(y), highest), hn::CopySign(overflow, x), y);
    }
    if constexpr (ToInteger::kKeepsSign) return y;
    return has_negative_zero ? hn::CopySign(y, x) : hn::Add(y, hn::Zero(d));
  }

  ToInteger rounding;
  bool has_negative_zero;
  ScaledRounding<!overflows, double> scaled;
  V64 highest, overflow;
};

struct PowerLanes {
  static constexpr bool kIsRandom = false;

  explicit PowerLanes(const PowerLaneFormat& f)
      : rise(hn::Set(DU(), f.rise)),
        exponent_field(hn::Set(DU(), to_bits(std::numeric_limits<double>::infinity()))),
        lowest(hn::Set(D64(), f.lowest)),
        highest(hn::Set(D64(), f.highest)),
        first(hn::Set(D64(), f.first)) {}

  HWY_INLINE V64 operator()(V64 x) const {
    const D64 d;
    const V64 magnitude = hn::Abs(x);
    const auto bits = hn::And(hn::Add(hn::BitCast(DU(), magnitude), rise), exponent_field);
    const V64 power = hn::Max(hn::Min(hn::BitCast(d, bits), highest), lowest);
    return hn::CopySignToAbs(hn::IfThenElseZero(hn::Ge(magnitude, first), power), x);
  }

  using DU = hn::RebindToUnsigned<D64>;
  hn::Vec<DU> rise, exponent_field;
  V64 lowest, highest, first;
};

// run(rounding) with one of those above.
template <class With>
void WithIntegerRounding(Rounding rounding, const LaneDraws& draws, bool may_be_common,
                         const With& with) {
  if (rounding == Rounding::stochastic) {
    return WithDraws<double>(draws.random_bits, draws.integer_bits, [&](auto, auto how) HWY_ATTR {
      with(RandomIntegerRounding<how.value>{UniformDraw<double>(draws.random_bits)});
    });
  }
  if (may_be_common && rounding == Rounding::even) {
    with(IntegerRounding<Rounding::even>{rounding});
  } else if (may_be_common && rounding == Rounding::nearest) {
    with(IntegerRounding<Rounding::nearest>{rounding});
  } else if (may_be_common && rounding == Rounding::zero) {
    with(IntegerRounding<Rounding::zero>{rounding});
  } else {
    with(IntegerRounding<kRareRounding>{rounding});
  }
}

// run(lanes) with those of the format.
template <class Run>
struct WithLanesOf {
  void operator()(const FixedLaneFormat& f) const {
    WithIntegerRounding(f.rounding, f.draws, true, [&](auto rounding) HWY_ATTR {
      if constexpr (!rounding.kIsRandom) {
        if (f.wraps) return run(FixedLanes<true, decltype(rounding)>(f, rounding));
      }
      run(FixedLanes<false, decltype(rounding)>(f, rounding));
    });
  }
  void operator()(const FloatLaneFormat& f) const {
    // So that the loops of the others need not ask for it.
    const bool may_keep_sign = f.has_negative_zero;
    WithIntegerRounding(f.rounding, f.draws, may_keep_sign, [&](auto rounding) HWY_ATTR {
      f.overflow ? run(FloatLanes<true, decltype(rounding)>(f, rounding))
                 : run(FloatLanes<false, decltype(rounding)>(f, rounding));
    });
  }
  void operator()(const PowerLaneFormat& f) const { run(PowerLanes(f)); }

  const Run& run;
};

template <class Run>
void WithLanes(const LaneFormat& format, const Run& run) {
  std::visit(WithLanesOf<Run>{run}, format);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_TILE_LANES_INL_H_
