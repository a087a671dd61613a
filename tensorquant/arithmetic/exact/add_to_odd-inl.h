// Sums rounded to odd. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_
#undef TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_
#endif

#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// a + b rounded to odd: see add_to_odd. The sum must not overflow; infinities and NaN are as usual.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V AddToOdd(D d, V a, V b) {
  const hn::RebindToSigned<D> di;
  const V sum = hn::Add(a, b);
  // What the rounding lost, exactly (D. Knuth's TwoSum).
  const V b_part = hn::Sub(sum, a);
  const V a_part = hn::Sub(sum, b_part);
  const V lost = hn::Add(hn::Sub(a, a_part), hn::Sub(b, b_part));
  // Where something was lost and the last bit is 0, the other neighbour is the odd one: away from
  // zero if what was lost has the sum's sign.
  const auto bits = hn::BitCast(di, sum);
  const auto one = hn::Set(di, 1);
  const auto is_even = hn::Eq(hn::And(bits, one), hn::Zero(di));
  const auto is_cut = hn::And(
      hn::RebindMask(di, hn::Ne(lost, hn::Zero(d))),
      hn::RebindMask(di, hn::Le(hn::Abs(sum), hn::Set(d, std::numeric_limits<double>::max()))));
  const auto signs = hn::ShiftRight<63>(hn::Xor(bits, hn::BitCast(di, lost)));  // 0 or -1
  const auto step = hn::Or(signs, one);                                         // 1 or -1
  return hn::BitCast(d, hn::Add(bits, hn::IfThenElseZero(hn::And(is_even, is_cut), step)));
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_
