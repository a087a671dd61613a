// Sums rounded to odd. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_
#undef TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// a + b, and what its rounding lost, exactly (D. Knuth's TwoSum).
template <class V>
HWY_INLINE V TwoSum(V a, V b, V& lost) {
  const V sum = hn::Add(a, b);
  const V b_part = hn::Sub(sum, a);
  const V a_part = hn::Sub(sum, b_part);
  lost = hn::Add(hn::Sub(a, a_part), hn::Sub(b, b_part));
  return sum;
}

// a + b rounded to odd: see add_to_odd. The sum must not overflow; infinities and NaN are as usual.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V AddToOdd(D d, V a, V b) {
  const hn::RebindToSigned<D> di;
  V lost;
  const V sum = TwoSum(a, b, lost);
  // Where something was lost: rounded to zero, if what was lost has not the sum's sign, with a last
  // bit of 1. What an infinity lost is NaN.
  const auto bits = hn::BitCast(di, sum);
  const auto down = hn::ShiftRight<63>(hn::Xor(bits, hn::BitCast(di, lost)));  // 0 or -1
  const auto odd = hn::Or(hn::Add(bits, down), hn::Set(di, 1));
  return hn::IfThenElse(hn::Gt(hn::Abs(lost), hn::Zero(d)), hn::BitCast(d, odd), sum);
}

// a * b, and what its rounding lost, exactly (T. Dekker), where nothing overflows or underflows.
// Without a fused multiply-add, which not every target has.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V TwoProduct(D d, V a, V b, V& lost) {
  const auto high_half = [d](V x) HWY_ATTR {
    const V c = hn::Mul(x, hn::Set(d, 0x1p27 + 1));
    return hn::Sub(c, hn::Sub(c, x));
  };
  const V a_high = high_half(a), b_high = high_half(b);
  const V a_low = hn::Sub(a, a_high), b_low = hn::Sub(b, b_high);
  const V product = hn::Mul(a, b);
  lost = hn::Sub(hn::Mul(a_high, b_high), product);
  lost = hn::Add(lost, hn::Mul(a_high, b_low));
  lost = hn::Add(lost, hn::Mul(a_low, b_high));
  lost = hn::Add(lost, hn::Mul(a_low, b_low));
  return product;
}

// t + a * b rounded to odd, exactly once: the sum of three doubles by S. Boldo and G. Melquiond,
// "Emulation of FMA and correctly rounded sums", 2008.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V AddProductToOdd(D d, V t, V a, V b) {
  V product_lost, sum_lost;
  const V product = TwoProduct(d, a, b, product_lost);
  const V sum = TwoSum(t, product, sum_lost);
  const V rest = AddToOdd(d, sum_lost, product_lost);
  return hn::IfThenElse(hn::Eq(rest, hn::Zero(d)), sum, AddToOdd(d, sum, rest));
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_EXACT_ADD_TO_ODD_INL_H_
