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

// Whether AddProductToOdd is exact: nothing in it overflows or underflows.
template <class D, class V = hn::Vec<D>>
HWY_INLINE bool AreMiddling(D d, V t, V a, V b) {
  const auto is_between = [d](V x, double least, double most) HWY_ATTR {
    const V size = hn::Abs(x);
    const auto is_zero = hn::Eq(size, hn::Zero(d));
    return hn::Or(is_zero,
                  hn::And(hn::Ge(size, hn::Set(d, least)), hn::Le(size, hn::Set(d, most))));
  };
  return hn::AllTrue(
      d, hn::And(is_between(t, 0, 0x1p900),
                 hn::And(is_between(a, 0x1p-400, 0x1p400), is_between(b, 0x1p-400, 0x1p400))));
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

// The float32 next to t + a * b * s for a vector of doubles s, which it stores in t; false where it
// cannot, which leaves t as it is.
template <class D>
HWY_INLINE bool AddScaledAt(D d, double a, const float* b, const double* s, float* t) {
#if HWY_TARGET <= HWY_AVX2 || !HWY_ARCH_X86
  const hn::Rebind<float, D> df;
  const hn::RebindToUnsigned<D> du;
  const auto scale = hn::Mul(hn::Set(d, a), hn::PromoteTo(d, hn::LoadU(df, b)));  // exact
  const auto old = hn::PromoteTo(d, hn::LoadU(df, t));
  const auto x = hn::LoadU(d, s);
  auto sum = hn::MulAdd(scale, x, old);
  // The float next to the double is the one next to the sum, but for a double half way between two
  // floats, which the sum may have been rounded to.
  const auto behind = hn::And(hn::BitCast(du, sum), hn::Set(du, (std::uint64_t{1} << 29) - 1));
  if (!hn::AllFalse(du, hn::Eq(behind, hn::Set(du, std::uint64_t{1} << 28)))) {
    if (!AreMiddling(d, old, scale, x)) return false;
    sum = AddProductToOdd(d, old, scale, x);
  }
  const auto size = hn::Abs(sum);
  const auto is_normal =
      hn::And(hn::Ge(size, hn::Set(d, 0x1p-126)), hn::Lt(size, hn::Set(d, 0x1p127)));
  const auto is_zero = hn::And(hn::Eq(size, hn::Zero(d)), hn::Eq(x, hn::Zero(d)));
  if (!hn::AllTrue(d, hn::Or(is_normal, is_zero))) return false;
  hn::StoreU(hn::DemoteTo(df, sum), df, t);
  return true;
#else
  return (void)d, (void)a, (void)b, (void)s, (void)t, false;  // no fused multiply-add
#endif
}

std::size_t AddScaled(double a, const float* b, const double* s, std::span<float> t) {
  const hn::ScalableTag<double> d;
  const hn::CappedTag<double, 1> d1;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  while (i + lanes <= t.size() && AddScaledAt(d, a, b + i, s + i, t.data() + i)) i += lanes;
  while (i < t.size() && AddScaledAt(d1, a, b + i, s + i, t.data() + i)) ++i;
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
