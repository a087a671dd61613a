#include "tensorquant/kernels/scaling.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/scaling.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "tensorquant/kernels/elementwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// run(constant) with a flag as a compile-time constant.
template <class Run>
HWY_INLINE void WithFlag(bool flag, const Run& run) {
  flag ? run(std::true_type()) : run(std::false_type());
}

// Less than a vector; the other lanes are zero.
template <class D, class T>
HWY_INLINE hn::Vec<D> LoadSome(D d, const T* from, std::size_t count) {
  HWY_ALIGN T values[HWY_MAX_BYTES / sizeof(T)] = {};
  std::copy_n(from, count, values);
  return hn::Load(d, values);
}
template <class V, class D, class T>
HWY_INLINE void StoreSomeOf(V v, D d, T* to, std::size_t count) {
  HWY_ALIGN T values[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(v, d, values);
  std::copy_n(values, count, to);
}

// Bits of magnitudes are compared as signed integers, for which more instruction sets have a
// maximum.
template <class D>
using BitsTag = hn::RebindToSigned<D>;
template <class D>
using BitsVec = hn::Vec<BitsTag<D>>;

template <class D, class V = hn::Vec<D>>
HWY_INLINE BitsVec<D> MagnitudeBits(D, V x) {
  return hn::BitCast(BitsTag<D>(), hn::Abs(x));
}

// What is known of the elements that a vector of groups, or of parts of one group, has had so far.
template <bool has_range, class D>
struct Seen {
  using V = hn::Vec<D>;
  explicit HWY_INLINE Seen(D d)
      : magnitudes(hn::Zero(BitsTag<D>())), lowest(hn::Zero(d)), highest(hn::Zero(d)) {}
  HWY_INLINE void Add(D d, V x) {
    magnitudes = hn::Max(magnitudes, MagnitudeBits(d, x));
    if constexpr (has_range) {
      lowest = hn::Min(lowest, x);
      highest = hn::Max(highest, x);
    }
  }
  HWY_INLINE void Add(const Seen& other) {
    magnitudes = hn::Max(magnitudes, other.magnitudes);
    if constexpr (has_range) {
      lowest = hn::Min(lowest, other.lowest);
      highest = hn::Max(highest, other.highest);
    }
  }
  BitsVec<D> magnitudes;
  V lowest, highest;
};

template <bool has_range, class D, class T>
HWY_INLINE Seen<has_range, D> SeenInRun(D d, const T* x, std::size_t length) {
  const std::size_t lanes = hn::Lanes(d);
  Seen<has_range, D> first(d);
  std::size_t i = 0;
  if (length >= 4 * lanes) {
    Seen<has_range, D> second(d), third(d), fourth(d);
    for (; i + 4 * lanes <= length; i += 4 * lanes) {
      first.Add(d, hn::LoadU(d, x + i));
      second.Add(d, hn::LoadU(d, x + i + lanes));
      third.Add(d, hn::LoadU(d, x + i + 2 * lanes));
      fourth.Add(d, hn::LoadU(d, x + i + 3 * lanes));
    }
    third.Add(fourth);
    first.Add(second);
    first.Add(third);
  }
  for (; i + lanes <= length; i += lanes) first.Add(d, hn::LoadU(d, x + i));
  // To see an element twice changes nothing.
  if (i < length) {
    first.Add(d, length >= lanes ? hn::LoadU(d, x + length - lanes) : LoadSome(d, x, length));
  }
  return first;
}

template <bool has_range, class T>
HWY_INLINE void RunRuns(const T* x, std::size_t groups, std::size_t length, Extremes<T> extremes) {
  const hn::ScalableTag<T> d;
  const BitsTag<decltype(d)> di;
  for (std::size_t g = 0; g < groups; ++g) {
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

// A vector of groups.
template <bool has_range, class D, class T>
HWY_INLINE void RunColumns(D d, const T* x, std::size_t rows, std::size_t stride,
                           Extremes<T> extremes) {
  const BitsTag<D> di;
  auto* const magnitudes = reinterpret_cast<hn::TFromD<decltype(di)>*>(extremes.magnitudes);
  Seen<has_range, D> seen(d);
  seen.magnitudes = hn::LoadU(di, magnitudes);
  if constexpr (has_range) {
    seen.lowest = hn::LoadU(d, extremes.lowest);
    seen.highest = hn::LoadU(d, extremes.highest);
  }
  for (std::size_t row = 0; row < rows; ++row) seen.Add(d, hn::LoadU(d, x + row * stride));
  hn::StoreU(seen.magnitudes, di, magnitudes);
  if constexpr (has_range) {
    hn::StoreU(seen.lowest, d, extremes.lowest);
    hn::StoreU(seen.highest, d, extremes.highest);
  }
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
    for (std::size_t g = 0; g < groups; g += lanes) {
      const std::size_t first =
          std::min(g, groups - lanes);  // to see a group twice changes nothing
      RunColumns<has_range.value>(d, x + first, rows, stride, extremes.behind(first));
    }
  });
}

// A vector of factors, or of limits, at element i.
template <bool varies, class D, class T>
HWY_INLINE hn::Vec<D> FactorsAt(D d, const T* values, std::size_t i, std::size_t count) {
  if constexpr (!varies) return hn::Set(d, *values);
  return count == hn::Lanes(d) ? hn::LoadU(d, values + i) : LoadSome(d, values + i, count);
}

template <bool varies, bool multiplies, bool clamps, class T>
HWY_INLINE void RunDown(const T* x, std::size_t count, const BeforeElement<T>& before, T* t) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto scaled = [&](auto v, std::size_t i, std::size_t n) HWY_ATTR {
    const auto factor = FactorsAt<varies>(d, before.factors.values, i, n);
    auto result = multiplies ? hn::Mul(v, factor) : hn::Div(v, factor);
    if constexpr (clamps) {
      result = hn::Max(result, FactorsAt<varies>(d, before.lowest, i, n));
      result = hn::Min(result, FactorsAt<varies>(d, before.highest, i, n));
    }
    return result;
  };
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(scaled(hn::LoadU(d, x + i), i, lanes), d, t + i);
  }
  if (const std::size_t rest = count - i; rest > 0) {
    StoreSomeOf(scaled(LoadSome(d, x + i, rest), i, rest), d, t + i, rest);
  }
}

template <class T>
void Down(const T* x, std::size_t count, const BeforeElement<T>& before, T* t) {
  WithFlag(before.factors.varies, [&](auto varies) HWY_ATTR {
    WithFlag(before.multiplies, [&](auto multiplies) HWY_ATTR {
      WithFlag(before.lowest != nullptr, [&](auto clamps) HWY_ATTR {
        RunDown<varies.value, multiplies.value, clamps.value>(x, count, before, t);
      });
    });
  });
}

template <Stores stores, bool varies, bool mends, class T>
HWY_INLINE void RunUp(const T* q, const T* x, std::size_t count, const BehindElement<T>& behind,
                      T* out) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto quiet = hn::Set(d, std::numeric_limits<T>::quiet_NaN());
  const auto largest = hn::Set(d, std::numeric_limits<T>::max());
  const auto keeps_nan =
      hn::MaskFromVec(hn::BitCast(d, hn::Set(BitsTag<decltype(d)>(), behind.keeps_nan ? -1 : 0)));
  const auto scaled = [&](auto v, auto number, std::size_t i, std::size_t n) HWY_ATTR {
    auto y = hn::Mul(v, FactorsAt<varies>(d, behind.factors.values, i, n));
    if constexpr (mends) {
      const auto mended = hn::CopySign(largest, y);
      y = hn::IfThenElse(hn::AndNot(hn::IsInf(v), hn::IsInf(y)), mended, y);
    }
    return hn::IfThenElse(hn::IsNaN(number), hn::IfThenElse(keeps_nan, number, quiet), y);
  };
  const auto some = [&](std::size_t i, std::size_t n) HWY_ATTR {
    StoreSomeOf(scaled(LoadSome(d, q + i, n), LoadSome(d, x + i, n), i, n), d, out + i, n);
  };
  std::size_t i = 0;
  if constexpr (stores == Stores::streaming) {
    i = std::min(count, ElementsToAlignment(d, out));
    if (i > 0) some(0, i);
  }
  for (; i + lanes <= count; i += lanes) {
    StoreVector<stores>(scaled(hn::LoadU(d, q + i), hn::LoadU(d, x + i), i, lanes), d, out + i);
  }
  if (i < count) some(i, count - i);
  if constexpr (stores == Stores::streaming) hwy::FlushStream();  // for readers on other threads
}

template <class T>
void Up(const T* q, const T* x, std::size_t count, const BehindElement<T>& behind, T* out) {
  WithFlag(behind.factors.varies, [&](auto varies) HWY_ATTR {
    WithFlag(behind.may_overflow, [&](auto mends) HWY_ATTR {
      if (behind.stores == Stores::streaming) {
        RunUp<Stores::streaming, varies.value, mends.value>(q, x, count, behind, out);
      } else {
        RunUp<Stores::cached, varies.value, mends.value>(q, x, count, behind, out);
      }
    });
  });
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
void Down32(const float* x, std::size_t count, const BeforeElement<float>& before, float* t) {
  Down(x, count, before, t);
}
void Down64(const double* x, std::size_t count, const BeforeElement<double>& before, double* t) {
  Down(x, count, before, t);
}
void Up32(const float* q, const float* x, std::size_t count, const BehindElement<float>& behind,
          float* out) {
  Up(q, x, count, behind, out);
}
void Up64(const double* q, const double* x, std::size_t count, const BehindElement<double>& behind,
          double* out) {
  Up(q, x, count, behind, out);
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
void scale_down(const float* x, std::size_t count, const BeforeElement<float>& before, float* t) {
  HWY_DYNAMIC_DISPATCH(Down32)(x, count, before, t);
}
void scale_down(const double* x, std::size_t count, const BeforeElement<double>& before,
                double* t) {
  HWY_DYNAMIC_DISPATCH(Down64)(x, count, before, t);
}
void scale_up(const float* q, const float* x, std::size_t count, const BehindElement<float>& behind,
              float* out) {
  HWY_DYNAMIC_DISPATCH(Up32)(q, x, count, behind, out);
}
void scale_up(const double* q, const double* x, std::size_t count,
              const BehindElement<double>& behind, double* out) {
  HWY_DYNAMIC_DISPATCH(Up64)(q, x, count, behind, out);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
