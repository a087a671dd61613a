#include "tensorquant/arithmetic/sums/tile_steps.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/tile_steps.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <variant>

#include "tensorquant/arithmetic/exact/add_to_odd-inl.h"
#include "tensorquant/arithmetic/sums/pack-inl.h"
#include "tensorquant/kernels/octave.h"
#include "tensorquant/kernels/rounding-inl.h"
#include "tensorquant/kernels/scaled_rounding-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

using D64 = hn::ScalableTag<double>;
using V64 = hn::Vec<D64>;

struct KeepsLanes {
  HWY_INLINE V64 operator()(V64 x) const { return x; }
};

template <Rounding rounding, bool wraps>
struct FixedLanes {
  explicit FixedLanes(const FixedLaneFormat& f)
      : which(f.rounding),
        scale(hn::Set(D64(), std::ldexp(1.0, f.fraction))),
        step(hn::Set(D64(), std::ldexp(1.0, -f.fraction))),
        lowest(hn::Set(D64(), f.lowest)),
        highest(hn::Set(D64(), f.highest)),
        period(hn::Set(D64(), f.highest - f.lowest + 1)),
        inverse_period(hn::Set(D64(), 1 / (f.highest - f.lowest + 1))) {}

  HWY_INLINE V64 operator()(V64 x) const {
    const D64 d;
    const V64 k = RoundVector<rounding>(d, hn::Mul(x, scale), which);
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

  Rounding which;
  V64 scale, step, lowest, highest, period, inverse_period;
};

template <Rounding rounding, bool overflows>
struct FloatLanes {
  explicit FloatLanes(const FloatLaneFormat& f)
      : which(f.rounding),
        has_negative_zero(f.has_negative_zero),
        scaled(f.highest, f.min_exponent, f.significand_bits),
        highest(hn::Set(D64(), f.highest)),
        overflow(hn::Set(D64(), f.overflow.value_or(f.highest))) {}

  HWY_INLINE V64 operator()(V64 x) const {
    const D64 d;
    V64 y =
        scaled(d, x, [&](auto dt, auto t) HWY_ATTR { return RoundVector<rounding>(dt, t, which); });
    if constexpr (overflows) {
      y = hn::IfThenElse(hn::Gt(hn::Abs(y), highest), hn::CopySign(overflow, x), y);
    }
    if constexpr (rounding == kRareRounding) {
      return has_negative_zero ? hn::CopySign(y, x) : hn::Add(y, hn::Zero(d));
    }
    return kRoundingKeepsSign ? y : hn::CopySign(y, x);
  }

  Rounding which;
  bool has_negative_zero;
  ScaledRounding<!overflows, double> scaled;
  V64 highest, overflow;
};

struct PowerLanes {
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

// run(lanes) with those of the format.
template <class Run>
struct WithLanesOf {
  void operator()(const FixedLaneFormat& f) const {
    WithRounding(f.rounding, true, [&](auto rounding) HWY_ATTR {
      f.wraps ? run(FixedLanes<rounding.value, true>(f))
              : run(FixedLanes<rounding.value, false>(f));
    });
  }
  void operator()(const FloatLaneFormat& f) const {
    WithRounding(f.rounding, f.has_negative_zero, [&](auto rounding) HWY_ATTR {
      f.overflow ? run(FloatLanes<rounding.value, true>(f))
                 : run(FloatLanes<rounding.value, false>(f));
    });
  }
  void operator()(const PowerLaneFormat& f) const { run(PowerLanes(f)); }

  // The rounding as a type; kRareRounding asks in each vector.
  template <class With>
  static void WithRounding(Rounding rounding, bool may_be_common, const With& with) {
    if (may_be_common && rounding == Rounding::even) {
      with(std::integral_constant<Rounding, Rounding::even>());
    } else if (may_be_common && rounding == Rounding::nearest) {
      with(std::integral_constant<Rounding, Rounding::nearest>());
    } else if (may_be_common && rounding == Rounding::zero) {
      with(std::integral_constant<Rounding, Rounding::zero>());
    } else {
      with(std::integral_constant<Rounding, kRareRounding>());
    }
  }

  const Run& run;
};

template <class Run>
void WithLanes(const LaneFormat& format, const Run& run) {
  std::visit(WithLanesOf<Run>{run}, format);
}

template <class Lanes>
HWY_NOINLINE void MultiplyBy(const Lanes& given, const TileFactors& f, std::size_t size,
                             double* products) {
  const Lanes lanes = given;  // in registers
  const D64 d;
  const hn::Rebind<float, D64> df;
  const std::size_t count = hn::Lanes(d);
  for (std::size_t k = 0; k < f.taps; ++k) {
    const float* b = f.b + k * f.stride;
    double* row = products + k * size;
    for (std::size_t i = 0; i < f.rows; ++i, row += f.columns) {
      const V64 a = hn::Set(d, static_cast<double>(f.a[k * f.rows + i]));
      for (std::size_t j = 0; j < f.columns; j += count) {
        const V64 column = hn::PromoteTo(d, hn::LoadU(df, b + j));
        hn::StoreU(lanes(hn::Mul(a, column)), d, row + j);
      }
    }
  }
}

void Multiply(const TileFactors& factors, const std::optional<LaneFormat>& format, std::size_t size,
              double* products) {
  if (!format) return MultiplyBy(KeepsLanes(), factors, size, products);
  WithLanes(*format,
            [&](const auto& lanes) HWY_ATTR { MultiplyBy(lanes, factors, size, products); });
}

// So many vectors of sums wait for each other's results.
inline constexpr std::size_t kSumVectors = HWY_TARGET <= HWY_AVX3 ? 8 : 4;

template <bool to_odd, class Lanes>
HWY_NOINLINE void AddUpBy(const Lanes& given, const double* products, std::size_t taps,
                          std::size_t size, double* sums) {
  const Lanes lanes = given;  // in registers
  const D64 d;
  const std::size_t count = hn::Lanes(d);
  for (std::size_t i = 0; i < size; i += kSumVectors * count) {
    V64 s[kSumVectors];
    for (std::size_t v = 0; v < kSumVectors; ++v) s[v] = hn::LoadU(d, sums + i + v * count);
    const double* p = products + i;
    for (std::size_t k = 0; k < taps; ++k, p += size) {
      HWY_UNROLL(8)
      for (std::size_t v = 0; v < kSumVectors; ++v) {
        const V64 product = hn::LoadU(d, p + v * count);
        s[v] = lanes(to_odd ? AddToOdd(d, s[v], product) : hn::Add(s[v], product));
      }
    }
    for (std::size_t v = 0; v < kSumVectors; ++v) hn::StoreU(s[v], d, sums + i + v * count);
  }
}

void AddUp(const double* products, std::size_t taps, std::size_t size, const LaneFormat& format,
           bool to_odd, double* sums) {
  WithLanes(format, [&](const auto& lanes) HWY_ATTR {
    to_odd ? AddUpBy<true>(lanes, products, taps, size, sums)
           : AddUpBy<false>(lanes, products, taps, size, sums);
  });
}

// Most vectors of sums never come near the ends; others are added up again, to odd, which no end
// is.
template <bool to_odd, class Lanes>
HWY_NOINLINE std::size_t AddUpAndCountBy(const Lanes& given, const double* products,
                                         std::size_t taps, std::size_t size,
                                         const Bounds<double>& ends, double* sums) {
  const Lanes lanes = given;  // in registers
  const D64 d;
  const std::size_t count = hn::Lanes(d);
  const V64 lowest = hn::Set(d, ends.lowest), highest = hn::Set(d, ends.highest);
  const V64 innermost = hn::Set(d, std::min(-ends.lowest, ends.highest));
  V64 outside = hn::Zero(d);
  for (std::size_t i = 0; i < size; i += kSumVectors * count) {
    V64 s[kSumVectors];
    for (std::size_t v = 0; v < kSumVectors; ++v) s[v] = hn::LoadU(d, sums + i + v * count);
    auto is_near = hn::Lt(lowest, lowest);
    const double* p = products + i;
    for (std::size_t k = 0; k < taps; ++k, p += size) {
      HWY_UNROLL(8)
      for (std::size_t v = 0; v < kSumVectors; ++v) {
        const V64 product = hn::LoadU(d, p + v * count);
        const V64 sum = to_odd ? AddToOdd(d, s[v], product) : hn::Add(s[v], product);
        is_near = hn::Or(is_near, hn::Ge(hn::Abs(sum), innermost));
        s[v] = lanes(sum);
      }
    }
    for (std::size_t v = 0; v < kSumVectors; ++v) {
      if (!hn::AllFalse(d, is_near)) {
        V64 again = hn::LoadU(d, sums + i + v * count);
        for (std::size_t k = 0; k < taps; ++k) {
          const V64 product = hn::LoadU(d, products + k * size + i + v * count);
          const V64 sum = AddToOdd(d, again, product);
          const auto is_outside = hn::Or(hn::Lt(sum, lowest), hn::Gt(sum, highest));
          outside = hn::Add(outside, hn::IfThenElseZero(is_outside, hn::Set(d, 1.0)));
          again = lanes(sum);
        }
      }
      hn::StoreU(s[v], d, sums + i + v * count);
    }
  }
  return static_cast<std::size_t>(hn::GetLane(hn::SumOfLanes(d, outside)));
}

std::size_t AddUpAndCount(const double* products, std::size_t taps, std::size_t size,
                          const LaneFormat& format, bool to_odd, const Bounds<double>& ends,
                          double* sums) {
  std::size_t outside = 0;
  WithLanes(format, [&](const auto& lanes) HWY_ATTR {
    outside = to_odd ? AddUpAndCountBy<true>(lanes, products, taps, size, ends, sums)
                     : AddUpAndCountBy<false>(lanes, products, taps, size, ends, sums);
  });
  return outside;
}

void AddToRunning(const double* products, std::size_t taps, std::size_t size, double* sums,
                  SumExtremes& extremes) {
  const D64 d;
  const std::size_t count = hn::Lanes(d);
  const V64 most = hn::Set(d, std::numeric_limits<double>::max());
  V64 lowest = hn::Set(d, extremes.lowest), highest = hn::Set(d, extremes.highest);
  for (std::size_t i = 0; i < size; i += kSumVectors * count) {
    V64 s[kSumVectors];
    for (std::size_t v = 0; v < kSumVectors; ++v) s[v] = hn::LoadU(d, sums + i + v * count);
    const double* p = products + i;
    for (std::size_t k = 0; k < taps; ++k, p += size) {
      HWY_UNROLL(8)
      for (std::size_t v = 0; v < kSumVectors; ++v) {
        s[v] = hn::Add(s[v], hn::LoadU(d, p + v * count));
        const V64 finite = hn::IfThenElseZero(hn::Le(hn::Abs(s[v]), most), s[v]);
        lowest = hn::Min(lowest, finite);
        highest = hn::Max(highest, finite);
      }
    }
    for (std::size_t v = 0; v < kSumVectors; ++v) hn::StoreU(s[v], d, sums + i + v * count);
  }
  extremes = {hn::GetLane(hn::MinOfLanes(d, lowest)), hn::GetLane(hn::MaxOfLanes(d, highest))};
}

void Widen(SumExtremes& extremes, std::span<const double> values) {
  const D64 d;
  const std::size_t lanes = hn::Lanes(d);
  const V64 most = hn::Set(d, std::numeric_limits<double>::max());
  V64 lowest = hn::Set(d, extremes.lowest), highest = hn::Set(d, extremes.highest);
  const auto look = [&](V64 x) HWY_ATTR {
    const V64 finite = hn::IfThenElseZero(hn::Le(hn::Abs(x), most), x);
    lowest = hn::Min(lowest, finite);
    highest = hn::Max(highest, finite);
  };
  std::size_t i = 0;
  for (; i + lanes <= values.size(); i += lanes) look(hn::LoadU(d, values.data() + i));
  for (; i < values.size(); ++i) look(hn::Set(d, values[i]));
  extremes = {hn::GetLane(hn::MinOfLanes(d, lowest)), hn::GetLane(hn::MaxOfLanes(d, highest))};
}

std::size_t CountOutside(std::span<const double> values, const Bounds<double>& ends) {
  const D64 d;
  const std::size_t lanes = hn::Lanes(d);
  const V64 lowest = hn::Set(d, ends.lowest), highest = hn::Set(d, ends.highest);
  std::size_t i = 0, count = 0;
  for (; i + lanes <= values.size(); i += lanes) {
    const V64 x = hn::LoadU(d, values.data() + i);
    count += hn::CountTrue(d, hn::Or(hn::Lt(x, lowest), hn::Gt(x, highest)));
  }
  for (; i < values.size(); ++i) count += is_outside(ends, values[i]) ? 1 : 0;
  return count;
}

void PackAllTaps(const Factor<float>& b, std::size_t first, std::size_t stride, float* packed) {
  for (std::size_t j = 0; j < stride; j += kMostWidth) {
    const Columns columns(b.lines, first + j, kMostWidth);
    for (std::size_t k = 0; k < b.taps.size(); ++k) {
      columns.Copy(b.data.data() + b.taps[k], packed + k * stride + j);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {
namespace {

using OptionalFormat = std::optional<LaneFormat>;

OptionalFormat lanes_of(const FixedPoint& format, double) {
  const bool wraps = format.overflow == FixedPoint::Overflow::wrap;
  // Scaled numbers are normal ones.
  if ((!wraps && !format.saturates()) || is_random(format) || std::abs(format.fraction) > 500) {
    return {};
  }
  return FixedLaneFormat{format.rounding, format.fraction,
                         static_cast<double>(format.lowest_integer()),
                         static_cast<double>(format.highest_integer()), wraps};
}

OptionalFormat lanes_of(const FloatingPoint& format, double largest) {
  if (is_random(format)) return {};
  FloatLaneFormat lanes = {format.rounding,  format.significand_bits,    format.min_exponent(),
                           format.largest(), format.has_negative_zero(), {}};
  if (format.saturates() || largest <= format.largest()) return lanes;
  const double positive = overflow_value(format, false), negative = overflow_value(format, true);
  if (positive == format.largest() && negative == -positive) return lanes;
  // A sum goes on with what it has become, and may be an infinity before it is rounded.
  const bool is_symmetric = std::isnan(positive) ? std::isnan(negative) : negative == -positive;
  if (!is_symmetric || format.significand_bits < 2) return {};
  lanes.overflow = positive;
  return lanes;
}

OptionalFormat lanes_of(const Logarithmic& format, double) {
  if (format.fraction != 0) return {};
  return PowerLaneFormat{to_bits(2.0) - to_bits(number_from<double>(border(format, 0), 0)),
                         std::ldexp(1.0, min_exponent<double>(format)),
                         std::ldexp(1.0, max_exponent<double>(format)),
                         smallest_kept<double>(format)};
}

// The others have kernels alone.
template <class F>
OptionalFormat lanes_of(const F&, double) {
  return {};
}

}  // namespace

HWY_EXPORT(Multiply);
HWY_EXPORT(AddUp);
HWY_EXPORT(AddUpAndCount);
HWY_EXPORT(AddToRunning);
HWY_EXPORT(Widen);
HWY_EXPORT(CountOutside);
HWY_EXPORT(PackAllTaps);

std::optional<LaneFormat> lane_format(const GridFormat& format, double largest) {
  return std::visit([&](const auto& f) { return lanes_of(f, largest); }, in_double(format));
}
void multiply(const TileFactors& factors, const std::optional<LaneFormat>& format, std::size_t size,
              double* products) {
  HWY_DYNAMIC_DISPATCH(Multiply)(factors, format, size, products);
}
void add_up(const double* products, std::size_t taps, std::size_t size, const LaneFormat& format,
            bool to_odd, double* sums) {
  HWY_DYNAMIC_DISPATCH(AddUp)(products, taps, size, format, to_odd, sums);
}
std::size_t add_up_and_count(const double* products, std::size_t taps, std::size_t size,
                             const LaneFormat& format, bool to_odd, const Bounds<double>& ends,
                             double* sums) {
  return HWY_DYNAMIC_DISPATCH(AddUpAndCount)(products, taps, size, format, to_odd, ends, sums);
}
void add_to_running(const double* products, std::size_t taps, std::size_t size, double* sums,
                    SumExtremes& extremes) {
  HWY_DYNAMIC_DISPATCH(AddToRunning)(products, taps, size, sums, extremes);
}
void widen(SumExtremes& extremes, std::span<const double> values) {
  HWY_DYNAMIC_DISPATCH(Widen)(extremes, values);
}
std::size_t count_outside(std::span<const double> values, const Bounds<double>& ends) {
  return HWY_DYNAMIC_DISPATCH(CountOutside)(values, ends);
}
void pack_columns(const Factor<float>& b, std::size_t first, std::size_t stride, float* packed) {
  HWY_DYNAMIC_DISPATCH(PackAllTaps)(b, first, stride, packed);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
