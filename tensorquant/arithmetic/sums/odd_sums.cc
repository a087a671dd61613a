// Sums whose rounding is known to be harmless, or done once.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/odd_sums.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "tensorquant/arithmetic/exact/add_to_odd-inl.h"
#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/segment_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

void AddToOddAll(std::span<double> s, std::span<const double> x) {
  const hn::ScalableTag<double> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= s.size(); i += lanes) {
    hn::StoreU(AddToOdd(d, hn::LoadU(d, s.data() + i), hn::LoadU(d, x.data() + i)), d,
               s.data() + i);
  }
  const hn::CappedTag<double, 1> d1;
  for (; i < s.size(); ++i) {
    hn::StoreU(AddToOdd(d1, hn::LoadU(d1, s.data() + i), hn::LoadU(d1, x.data() + i)), d1,
               s.data() + i);
  }
}

template <class D>
HWY_INLINE bool AddProductsAt(D d, std::size_t i, std::span<double> t, std::span<const double> a,
                              std::span<const double> b) {
  const auto at = [&](std::span<const double> x) HWY_ATTR { return hn::LoadU(d, x.data() + i); };
  if (!AreMiddling(d, at(t), at(a), at(b))) return false;
  hn::StoreU(AddProductToOdd(d, at(t), at(a), at(b)), d, t.data() + i);
  return true;
}

std::size_t AddProductsToOdd(std::span<double> t, std::span<const double> a,
                             std::span<const double> b) {
  const hn::ScalableTag<double> d;
  const hn::CappedTag<double, 1> d1;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  while (i + lanes <= t.size() && AddProductsAt(d, i, t, a, b)) i += lanes;
  while (i < t.size() && AddProductsAt(d1, i, t, a, b)) ++i;
  return i;
}

std::size_t AddScaled(double a, const float* b, const double* s, std::span<float> t) {
  const hn::ScalableTag<double> d;
  const hn::CappedTag<double, 1> d1;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  while (i + lanes <= t.size() && AddScaledAt(d, a, b + i, hn::LoadU(d, s + i), t.data() + i)) {
    i += lanes;
  }
  while (i < t.size() && AddScaledAt(d1, a, b + i, hn::LoadU(d1, s + i), t.data() + i)) ++i;
  return i;
}

// All in float32, where one fused multiply-add is all: a * b and s are numbers of float32.
std::size_t AddScaledFloats(double a, const float* b, const double* s, std::span<float> t) {
  std::size_t i = 0;
#if HWY_TARGET <= HWY_AVX2 || !HWY_ARCH_X86
  const hn::ScalableTag<float> df;
  const hn::Half<decltype(df)> dh;
  const hn::Rebind<double, decltype(dh)> d;
  const std::size_t lanes = hn::Lanes(df);
  const auto row = hn::Set(df, static_cast<float>(a));
  const auto largest = hn::Set(df, std::numeric_limits<float>::max());
  for (; i + lanes <= t.size(); i += lanes) {
    const auto low = hn::DemoteTo(dh, hn::LoadU(d, s + i));
    const auto high = hn::DemoteTo(dh, hn::LoadU(d, s + i + lanes / 2));
    const auto sum = hn::MulAdd(hn::Mul(row, hn::LoadU(df, b + i)), hn::Combine(df, high, low),
                                hn::LoadU(df, t.data() + i));
    if (!hn::AllTrue(df, hn::Le(hn::Abs(sum), largest))) break;
    hn::StoreU(sum, df, t.data() + i);
  }
#endif
  return i + AddScaled(a, b + i, s + i, t.subspan(i));
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(AddToOddAll);
HWY_EXPORT(AddProductsToOdd);
HWY_EXPORT(AddScaled);
HWY_EXPORT(AddScaledFloats);

void add_to_odd(std::span<double> s, std::span<const double> x) {
  HWY_DYNAMIC_DISPATCH(AddToOddAll)(s, x);
}
std::size_t add_products_to_odd(std::span<double> t, std::span<const double> a,
                                std::span<const double> b) {
  return HWY_DYNAMIC_DISPATCH(AddProductsToOdd)(t, a, b);
}
std::size_t add_scaled(double a, const float* b, const double* s, std::span<float> t) {
  return HWY_DYNAMIC_DISPATCH(AddScaled)(a, b, s, t);
}
std::size_t add_scaled_floats(double a, const float* b, const double* s, std::span<float> t) {
  return HWY_DYNAMIC_DISPATCH(AddScaledFloats)(a, b, s, t);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
