#include "tensorquant/arithmetic/sums/tile_steps.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/tile_steps.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

#include "tensorquant/arithmetic/exact/add_to_odd-inl.h"
#include "tensorquant/arithmetic/sums/pack-inl.h"
#include "tensorquant/arithmetic/sums/tile_lanes-inl.h"
#include "tensorquant/kernels/octave.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// lanes(x), with the words at `words` for those at random.
template <class Lanes>
HWY_INLINE V64 Rounded(const Lanes& lanes, V64 x, const std::uint32_t* words, std::size_t i) {
  if constexpr (Lanes::kIsRandom) {
    return lanes(x, hn::LoadU(hn::Rebind<std::uint32_t, D64>(), words + i));
  } else {
    return lanes(x);
  }
}

template <class Lanes>
HWY_NOINLINE void MultiplyBy(const Lanes& given, const TileFactors& f, const std::uint32_t* words,
                             std::size_t size, double* products) {
  const Lanes lanes = given;  // in registers
  const D64 d;
  const hn::Rebind<float, D64> df;
  const std::size_t count = hn::Lanes(d);
  for (std::size_t k = 0; k < f.taps; ++k) {
    const float* b = f.b + k * f.stride;
    for (std::size_t i = 0; i < f.rows; ++i) {
      const V64 a = hn::Set(d, static_cast<double>(f.a[k * f.rows + i]));
      const std::size_t row = k * size + i * f.columns;
      for (std::size_t j = 0; j < f.columns; j += count) {
        const V64 column = hn::PromoteTo(d, hn::LoadU(df, b + j));
        hn::StoreU(Rounded(lanes, hn::Mul(a, column), words, row + j), d, products + row + j);
      }
    }
  }
}

void Multiply(const TileFactors& factors, const std::optional<LaneFormat>& format,
              const std::uint32_t* words, std::size_t size, double* products) {
  if (!format) return MultiplyBy(KeepsLanes(), factors, words, size, products);
  WithLanes(*format,
            [&](const auto& lanes) HWY_ATTR { MultiplyBy(lanes, factors, words, size, products); });
}

// So many vectors of sums wait for each other's results.
inline constexpr std::size_t kSumVectors = HWY_TARGET <= HWY_AVX3 ? 8 : 4;

template <bool to_odd, class Lanes>
HWY_NOINLINE void AddUpBy(const Lanes& given, const TileAddends& addends, double* sums) {
  const Lanes lanes = given;  // in registers
  const D64 d;
  const std::size_t count = hn::Lanes(d);
  for (std::size_t i = 0; i < addends.size; i += kSumVectors * count) {
    V64 s[kSumVectors];
    for (std::size_t v = 0; v < kSumVectors; ++v) s[v] = hn::LoadU(d, sums + i + v * count);
    for (std::size_t k = 0; k < addends.taps; ++k) {
      const std::size_t at = k * addends.size + i;
      HWY_UNROLL(8)
      for (std::size_t v = 0; v < kSumVectors; ++v) {
        const V64 addend = hn::LoadU(d, addends.values + at + v * count);
        const V64 sum = to_odd ? AddToOdd(d, s[v], addend) : hn::Add(s[v], addend);
        s[v] = Rounded(lanes, sum, addends.words, at + v * count);
      }
    }
    for (std::size_t v = 0; v < kSumVectors; ++v) hn::StoreU(s[v], d, sums + i + v * count);
  }
}

void AddUp(const TileAddends& addends, const LaneFormat& format, bool to_odd, double* sums) {
  WithLanes(format, [&](const auto& lanes) HWY_ATTR {
    to_odd ? AddUpBy<true>(lanes, addends, sums) : AddUpBy<false>(lanes, addends, sums);
  });
}

// Most vectors of sums never come near the ends; others are added up again, to odd, which no end
// is.
template <bool to_odd, class Lanes>
HWY_NOINLINE std::size_t AddUpAndCountBy(const Lanes& given, const TileAddends& addends,
                                         const Bounds<double>& ends, double* sums) {
  const Lanes lanes = given;  // in registers
  const D64 d;
  const std::size_t count = hn::Lanes(d);
  const V64 lowest = hn::Set(d, ends.lowest), highest = hn::Set(d, ends.highest);
  const V64 innermost = hn::Set(d, std::min(-ends.lowest, ends.highest));
  V64 outside = hn::Zero(d);
  for (std::size_t i = 0; i < addends.size; i += kSumVectors * count) {
    V64 s[kSumVectors];
    for (std::size_t v = 0; v < kSumVectors; ++v) s[v] = hn::LoadU(d, sums + i + v * count);
    auto is_near = hn::Lt(lowest, lowest);
    for (std::size_t k = 0; k < addends.taps; ++k) {
      const std::size_t at = k * addends.size + i;
      HWY_UNROLL(8)
      for (std::size_t v = 0; v < kSumVectors; ++v) {
        const V64 addend = hn::LoadU(d, addends.values + at + v * count);
        const V64 sum = to_odd ? AddToOdd(d, s[v], addend) : hn::Add(s[v], addend);
        is_near = hn::Or(is_near, hn::Ge(hn::Abs(sum), innermost));
        s[v] = Rounded(lanes, sum, addends.words, at + v * count);
      }
    }
    for (std::size_t v = 0; v < kSumVectors; ++v) {
      if (!hn::AllFalse(d, is_near)) {
        V64 again = hn::LoadU(d, sums + i + v * count);
        for (std::size_t k = 0; k < addends.taps; ++k) {
          const std::size_t at = k * addends.size + i + v * count;
          const V64 sum = AddToOdd(d, again, hn::LoadU(d, addends.values + at));
          const auto is_outside = hn::Or(hn::Lt(sum, lowest), hn::Gt(sum, highest));
          outside = hn::Add(outside, hn::IfThenElseZero(is_outside, hn::Set(d, 1.0)));
          again = Rounded(lanes, sum, addends.words, at);
        }
      }
      hn::StoreU(s[v], d, sums + i + v * count);
    }
  }
  return static_cast<std::size_t>(hn::GetLane(hn::SumOfLanes(d, outside)));
}

std::size_t AddUpAndCount(const TileAddends& addends, const LaneFormat& format, bool to_odd,
                          const Bounds<double>& ends, double* sums) {
  std::size_t outside = 0;
  WithLanes(format, [&](const auto& lanes) HWY_ATTR {
    outside = to_odd ? AddUpAndCountBy<true>(lanes, addends, ends, sums)
                     : AddUpAndCountBy<false>(lanes, addends, ends, sums);
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
    float* to = packed + j;
    ForTapsAtOnce(b.taps, [&](std::span<const std::int64_t> taps) HWY_ATTR {
      columns.Copy(b.data.data(), taps, stride, to);
      to += taps.size() * stride;
    });
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
  const bool goes_round = wraps && !is_random(format);
  if ((!goes_round && !format.saturates()) || std::abs(format.fraction) > 500) return {};
  return FixedLaneFormat{format.rounding,
                         {format.random_bits, format.magnitude_bits()},
                         format.fraction,
                         static_cast<double>(format.lowest_integer()),
                         static_cast<double>(format.highest_integer()),
                         wraps};
}

OptionalFormat lanes_of(const FloatingPoint& format, double largest) {
  FloatLaneFormat lanes = {format.rounding,
                           {format.random_bits, format.significand_bits + 1},
                           format.significand_bits,
                           format.min_exponent(),
                           format.largest(),
                           format.has_negative_zero(),
                           {}};
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
std::optional<int> random_bits_of(const LaneFormat& format) {
  return std::visit(
      [](const auto& f) -> std::optional<int> {
        if constexpr (requires { f.draws; }) {
          if (f.rounding == Rounding::stochastic) return f.draws.random_bits;
        }
        return {};
      },
      format);
}
void multiply(const TileFactors& factors, const std::optional<LaneFormat>& format,
              const std::uint32_t* words, std::size_t size, double* products) {
  HWY_DYNAMIC_DISPATCH(Multiply)(factors, format, words, size, products);
}
void add_up(const TileAddends& addends, const LaneFormat& format, bool to_odd, double* sums) {
  HWY_DYNAMIC_DISPATCH(AddUp)(addends, format, to_odd, sums);
}
std::size_t add_up_and_count(const TileAddends& addends, const LaneFormat& format, bool to_odd,
                             const Bounds<double>& ends, double* sums) {
  return HWY_DYNAMIC_DISPATCH(AddUpAndCount)(addends, format, to_odd, ends, sums);
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
