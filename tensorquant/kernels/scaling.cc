#include "tensorquant/kernels/scaling.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/scaling.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/extremes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// run(constant) with a flag as a compile-time constant.
template <class Run>
HWY_INLINE void WithFlag(bool flag, const Run& run) {
  flag ? run(std::true_type()) : run(std::false_type());
}

#if HWY_HAVE_SCALABLE || HWY_TARGET == HWY_SCALAR
template <class T>
std::size_t RunVectorsOfRuns(const T*, std::size_t, std::size_t, BitsOf<T>*) {
  return 0;
}
#else
// As many groups at a time as a vector has lanes, in all but scalar and scalable ones. Returns the
// number of those that are done.
template <class T>
std::size_t RunVectorsOfRuns(const T* x, std::size_t groups, std::size_t length,
                             BitsOf<T>* magnitudes) {
  const hn::ScalableTag<T> d;
  const BitsTag<decltype(d)> di;
  constexpr std::size_t kLanes = HWY_LANES(T);
  std::size_t g = 0;
  for (; g + kLanes <= groups; g += kLanes) {
    auto* const to = reinterpret_cast<hn::TFromD<decltype(di)>*>(magnitudes + g);
    const auto maxima = MaximaOfRuns<kLanes>(d, x + g * length, length);
    hn::StoreU(hn::Max(hn::LoadU(di, to), maxima), di, to);
  }
  return g;
}
#endif

template <bool has_range, class T>
HWY_INLINE void RunRuns(const T* x, std::size_t groups, std::size_t length, Extremes<T> extremes) {
  const hn::ScalableTag<T> d;
  const BitsTag<decltype(d)> di;
  std::size_t g = has_range ? 0 : RunVectorsOfRuns(x, groups, length, extremes.magnitudes);
  for (; g < groups; ++g) {
    const auto seen = SeenInRun<has_range>(d, x + g * length, length);
    const auto bits = static_cast<BitsOf<T>>(hn::GetLane(hn::MaxOfLanes(di, seen.magnitudes)));
    extremes.magnitudes[g] = std::max(extremes.magnitudes[g], bits);
    if constexpr (has_range) {
      extremes.lowest[g] =
          std::min(extremes.lowest[g], hn::GetLane(hn::MinOfLanes(d, seen.lowest)));
      extremes.highest[g] =
          std::max(extremes.highest[g], hn::GetLane(hn::MaxOfLanes(d, seen.highest)));
    }
  }
}

template <class T>
void ExtremesOfRuns(const T* x, std::size_t groups, std::size_t length, Extremes<T> extremes) {
  WithFlag(extremes.lowest != nullptr,
           [&](auto has_range) HWY_ATTR { RunRuns<has_range.value>(x, groups, length, extremes); });
}

// What vectors of groups have had before, and have now.
template <bool has_range, class D, class T>
HWY_INLINE Seen<has_range, D> LoadSeen(D d, const Extremes<T>& extremes, std::size_t group) {
  const BitsTag<D> di;
  const auto* bits = reinterpret_cast<const hn::TFromD<decltype(di)>*>(extremes.magnitudes);
  Seen<has_range, D> seen(d);
  seen.magnitudes = hn::LoadU(di, bits + group);
  if constexpr (has_range) {
    seen.lowest = hn::LoadU(d, extremes.lowest + group);
    seen.highest = hn::LoadU(d, extremes.highest + group);
  }
  return seen;
}
template <bool has_range, class D, class T>
HWY_INLINE void StoreSeen(D d, const Seen<has_range, D>& seen, const Extremes<T>& extremes,
                          std::size_t group) {
  const BitsTag<D> di;
  auto* bits = reinterpret_cast<hn::TFromD<decltype(di)>*>(extremes.magnitudes);
  hn::StoreU(seen.magnitudes, di, bits + group);
  if constexpr (has_range) {
    hn::StoreU(seen.lowest, d, extremes.lowest + group);
    hn::StoreU(seen.highest, d, extremes.highest + group);
  }
}

// Four vectors of groups that begin so far apart. Rows are often apart by so much that a cache
// holds few of their beginnings: of each row some lines are read at a time.
template <bool has_range, class D, class T>
HWY_INLINE void RunColumns(D d, const T* x, std::size_t rows, std::size_t stride, std::size_t apart,
                           const Extremes<T>& extremes) {
  auto first = LoadSeen<has_range>(d, extremes, 0);
  auto second = LoadSeen<has_range>(d, extremes, apart);
  auto third = LoadSeen<has_range>(d, extremes, 2 * apart);
  auto fourth = LoadSeen<has_range>(d, extremes, 3 * apart);
  for (std::size_t row = 0; row < rows; ++row, x += stride) {
    first.Add(d, hn::LoadU(d, x));
    second.Add(d, hn::LoadU(d, x + apart));
    third.Add(d, hn::LoadU(d, x + 2 * apart));
    fourth.Add(d, hn::LoadU(d, x + 3 * apart));
  }
  StoreSeen(d, first, extremes, 0);
  StoreSeen(d, second, extremes, apart);
  StoreSeen(d, third, extremes, 2 * apart);
  StoreSeen(d, fourth, extremes, 3 * apart);
}

// One by one, of groups fewer than a vector.
template <class T>
void ExtremesOfFewColumns(const T* x, std::size_t groups, std::size_t rows, std::size_t stride,
                          Extremes<T> extremes) {
  for (std::size_t row = 0; row < rows; ++row, x += stride) {
    for (std::size_t g = 0; g < groups; ++g) {
      const BitsOf<T> magnitude = to_bits(x[g]) & (~BitsOf<T>{0} >> 1);
      extremes.magnitudes[g] = std::max(extremes.magnitudes[g], magnitude);
      if (extremes.lowest == nullptr) continue;
      extremes.lowest[g] = std::min(extremes.lowest[g], x[g]);
      extremes.highest[g] = std::max(extremes.highest[g], x[g]);
    }
  }
}

template <class T>
void ExtremesOfColumns(const T* x, std::size_t groups, std::size_t rows, std::size_t stride,
                       Extremes<T> extremes) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  if (groups < lanes) return ExtremesOfFewColumns(x, groups, rows, stride, extremes);
  WithFlag(extremes.lowest != nullptr, [&](auto has_range) HWY_ATTR {
    // To see a group twice changes nothing.
    const bool are_many = groups >= 4 * lanes;
    const std::size_t apart = are_many ? lanes : 0, together = are_many ? 4 * lanes : lanes;
    for (std::size_t g = 0; g < groups; g += together) {
      const std::size_t first = std::min(g, groups - together);
      RunColumns<has_range.value>(d, x + first, rows, stride, apart, extremes.behind(first));
    }
  });
}

template <class D, class T>
HWY_INLINE hn::Vec<D> LoadAtMost(D d, const T* from, std::size_t count) {
  return count < hn::Lanes(d) ? LoadSome(d, from, count) : hn::LoadU(d, from);
}

template <class V, class D, class T>
HWY_INLINE void StoreAtMost(V v, D d, T* to, std::size_t count) {
  count < hn::Lanes(d) ? StoreSomeOf(v, d, to, count) : hn::StoreU(v, d, to);
}

// 2^(field - bias) for exponent fields from 0 on; float32 has that of 0 as a subnormal.
template <class D, class VI>
HWY_INLINE hn::Vec<D> PowerOfField(D d, VI field) {
  const BitsTag<D> di;
  using I = hn::TFromD<decltype(di)>;
  constexpr int kStoredBits = std::numeric_limits<hn::TFromD<D>>::digits - 1;
  const auto one = hn::Set(di, I{1});
  const auto normal = hn::ShiftLeft<kStoredBits>(hn::Max(field, one));
  return hn::BitCast(d, hn::IfThenElse(hn::Lt(field, one), hn::ShiftRight<1>(normal), normal));
}

template <class T>
void PowersOfTwo(const BitsOf<T>* magnitudes, std::size_t groups, const PowerOfTwoRule& rule,
                 T* before, T* behind) {
  using Limits = std::numeric_limits<T>;
  const hn::ScalableTag<T> d;
  const BitsTag<decltype(d)> di;
  using I = hn::TFromD<decltype(di)>;
  constexpr int kStoredBits = Limits::digits - 1;
  constexpr I kBias = Limits::max_exponent - 1;
  const auto constant = [=](auto number) HWY_ATTR { return hn::Set(di, static_cast<I>(number)); };
  const auto threshold = constant(std::ceil(std::ldexp(rule.threshold - 1, kStoredBits)));
  const auto bias = constant(kBias);
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t g = 0; g < groups; g += lanes) {
    const std::size_t count = std::min(lanes, groups - g);
    const auto magnitude = LoadAtMost(di, reinterpret_cast<const I*>(magnitudes) + g, count);
    // Subnormal numbers are brought among the normal ones.
    const auto is_small = hn::Lt(magnitude, constant(I{1} << kStoredBits));
    const auto raised = hn::Mul(hn::BitCast(d, magnitude), hn::Set(d, static_cast<T>(0x1p64)));
    const auto bits = hn::IfThenElse(is_small, hn::BitCast(di, raised), magnitude);
    const auto rise = hn::IfThenElseZero(is_small, constant(64));
    const auto fraction = hn::And(bits, constant((I{1} << kStoredBits) - 1));
    const auto up = hn::IfThenZeroElse(hn::Lt(fraction, threshold), constant(1));
    const auto exponent = hn::Sub(hn::Add(hn::ShiftRight<kStoredBits>(bits), up),
                                  hn::Add(rise, constant(kBias + rule.exponent)));
    const auto e =
        hn::Min(hn::Max(exponent, constant(-kMaxScaleExponent)), constant(kMaxScaleExponent));
    const auto is_zero = hn::RebindMask(d, hn::Eq(magnitude, hn::Zero(di)));
    const auto is_finite =
        hn::RebindMask(d, hn::Lt(magnitude, constant(to_bits(Limits::infinity()))));
    const auto scale = hn::IfThenZeroElse(is_zero, PowerOfField(d, hn::Add(bias, e)));
    StoreAtMost(PowerOfField(d, hn::Sub(bias, e)), d, before + g, count);
    StoreAtMost(hn::IfThenElse(is_finite, scale, hn::Set(d, Limits::quiet_NaN())), d, behind + g,
                count);
  }
}

template <class T>
void Down(const T* x, std::size_t count, const PartScales<T>& scales, T* t) {
  const hn::ScalableTag<T> d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
    const auto scaled = ScaledDown(d, LoadAtMost(d, x + i, count - i), scales, i, true);
    hn::StoreU(Limited(d, scaled, scales, i, true), d, t + i);
  }
}

template <class T>
void Up(const T* x, std::size_t count, const PartScales<T>& scales, T* q) {
  const hn::ScalableTag<T> d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
    const auto v = hn::LoadU(d, q + i);
    const auto y = WithoutOverflow(d, ScaledUp(d, v, scales, i, true), v, scales);
    hn::StoreU(WithNanOf(d, y, LoadAtMost(d, x + i, count - i), scales), d, q + i);
  }
}

void ExtremesOfRuns32(const float* x, std::size_t groups, std::size_t length,
                      Extremes<float> extremes) {
  ExtremesOfRuns(x, groups, length, extremes);
}
void ExtremesOfRuns64(const double* x, std::size_t groups, std::size_t length,
                      Extremes<double> extremes) {
  ExtremesOfRuns(x, groups, length, extremes);
}
void ExtremesOfColumns32(const float* x, std::size_t groups, std::size_t rows, std::size_t stride,
                         Extremes<float> extremes) {
  ExtremesOfColumns(x, groups, rows, stride, extremes);
}
void ExtremesOfColumns64(const double* x, std::size_t groups, std::size_t rows, std::size_t stride,
                         Extremes<double> extremes) {
  ExtremesOfColumns(x, groups, rows, stride, extremes);
}
void PowersOfTwo32(const std::uint32_t* magnitudes, std::size_t groups, const PowerOfTwoRule& rule,
                   float* before, float* behind) {
  PowersOfTwo(magnitudes, groups, rule, before, behind);
}
void PowersOfTwo64(const std::uint64_t* magnitudes, std::size_t groups, const PowerOfTwoRule& rule,
                   double* before, double* behind) {
  PowersOfTwo(magnitudes, groups, rule, before, behind);
}
void Down32(const float* x, std::size_t count, const PartScales<float>& scales, float* t) {
  Down(x, count, scales, t);
}
void Down64(const double* x, std::size_t count, const PartScales<double>& scales, double* t) {
  Down(x, count, scales, t);
}
void Up32(const float* x, std::size_t count, const PartScales<float>& scales, float* q) {
  Up(x, count, scales, q);
}
void Up64(const double* x, std::size_t count, const PartScales<double>& scales, double* q) {
  Up(x, count, scales, q);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(ExtremesOfRuns32);
HWY_EXPORT(ExtremesOfRuns64);
HWY_EXPORT(ExtremesOfColumns32);
HWY_EXPORT(ExtremesOfColumns64);
HWY_EXPORT(PowersOfTwo32);
HWY_EXPORT(PowersOfTwo64);
HWY_EXPORT(Down32);
HWY_EXPORT(Down64);
HWY_EXPORT(Up32);
HWY_EXPORT(Up64);

void find_extremes_of_runs(const float* x, std::size_t groups, std::size_t length,
                           Extremes<float> extremes) {
  HWY_DYNAMIC_DISPATCH(ExtremesOfRuns32)(x, groups, length, extremes);
}
void find_extremes_of_runs(const double* x, std::size_t groups, std::size_t length,
                           Extremes<double> extremes) {
  HWY_DYNAMIC_DISPATCH(ExtremesOfRuns64)(x, groups, length, extremes);
}
void find_extremes_of_columns(const float* x, std::size_t groups, std::size_t rows,
                              std::size_t stride, Extremes<float> extremes) {
  HWY_DYNAMIC_DISPATCH(ExtremesOfColumns32)(x, groups, rows, stride, extremes);
}
void find_extremes_of_columns(const double* x, std::size_t groups, std::size_t rows,
                              std::size_t stride, Extremes<double> extremes) {
  HWY_DYNAMIC_DISPATCH(ExtremesOfColumns64)(x, groups, rows, stride, extremes);
}
void power_of_two_scales(const std::uint32_t* magnitudes, std::size_t groups,
                         const PowerOfTwoRule& rule, float* before, float* behind) {
  HWY_DYNAMIC_DISPATCH(PowersOfTwo32)(magnitudes, groups, rule, before, behind);
}
void power_of_two_scales(const std::uint64_t* magnitudes, std::size_t groups,
                         const PowerOfTwoRule& rule, double* before, double* behind) {
  HWY_DYNAMIC_DISPATCH(PowersOfTwo64)(magnitudes, groups, rule, before, behind);
}
void scale_down(const float* x, std::size_t count, const PartScales<float>& scales, float* t) {
  HWY_DYNAMIC_DISPATCH(Down32)(x, count, scales, t);
}
void scale_down(const double* x, std::size_t count, const PartScales<double>& scales, double* t) {
  HWY_DYNAMIC_DISPATCH(Down64)(x, count, scales, t);
}
void scale_up(const float* x, std::size_t count, const PartScales<float>& scales, float* q) {
  HWY_DYNAMIC_DISPATCH(Up32)(x, count, scales, q);
}
void scale_up(const double* x, std::size_t count, const PartScales<double>& scales, double* q) {
  HWY_DYNAMIC_DISPATCH(Up64)(x, count, scales, q);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
