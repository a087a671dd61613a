// From the sum of a segment to the outer sum. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_SEGMENT_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_SEGMENT_SUMS_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_SEGMENT_SUMS_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_SEGMENT_SUMS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <span>

#include "tensorquant/arithmetic/exact/add_to_odd-inl.h"
#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The sums of a segment as the outer accumulator takes them.
HWY_INLINE void RoundAtTheEnd(const SumJob& job, std::span<double> sums) {
  if (!job.rounds_at_the_end()) return;
  if (job.constants.ends_in_float32) {
    for (double& s : sums) s = static_cast<float>(s);
  } else {
    round_all(job.arithmetic.accumulator, {}, 0, {}, sums);
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

// The float32 next to t + a * b * s for a vector of doubles s, which it stores in t; false where it
// cannot, which leaves t as it is.
template <class D, class V = hn::Vec<D>>
HWY_INLINE bool AddScaledAt(D d, double a, const float* b, V s, float* t) {
#if HWY_TARGET <= HWY_AVX2 || !HWY_ARCH_X86
  const hn::Rebind<float, D> df;
  const hn::RebindToUnsigned<D> du;
  const auto scale = hn::Mul(hn::Set(d, a), hn::PromoteTo(d, hn::LoadU(df, b)));  // exact
  const auto old = hn::PromoteTo(d, hn::LoadU(df, t));
  auto sum = hn::MulAdd(scale, s, old);
  // The float next to the double is the one next to the sum, but for a double half way between two
  // floats, which the sum may have been rounded to.
  const auto behind = hn::And(hn::BitCast(du, sum), hn::Set(du, (std::uint64_t{1} << 29) - 1));
  if (!hn::AllFalse(du, hn::Eq(behind, hn::Set(du, std::uint64_t{1} << 28)))) {
    if (!AreMiddling(d, old, scale, s)) return false;
    sum = AddProductToOdd(d, old, scale, s);
  }
  const auto size = hn::Abs(sum);
  const auto is_normal =
      hn::And(hn::Ge(size, hn::Set(d, 0x1p-126)), hn::Lt(size, hn::Set(d, 0x1p127)));
  const auto is_zero = hn::And(hn::Eq(size, hn::Zero(d)), hn::Eq(s, hn::Zero(d)));
  if (!hn::AllTrue(d, hn::Or(is_normal, is_zero))) return false;
  hn::StoreU(hn::DemoteTo(df, sum), df, t);
  return true;
#else
  return (void)d, (void)a, (void)b, (void)s, (void)t, false;  // no fused multiply-add
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_SEGMENT_SUMS_INL_H_
