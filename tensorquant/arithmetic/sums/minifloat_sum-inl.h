// Steps of a sum of products in small floats. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_MINIFLOAT_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_MINIFLOAT_SUM_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_MINIFLOAT_SUM_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_MINIFLOAT_SUM_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "tensorquant/arithmetic/exact/add_to_odd-inl.h"
#include "tensorquant/arithmetic/sums/fixed_sum-inl.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rounds numbers of a lane to a float with fewer bits, in the machine's direction.
template <class Lane, MinifloatEnds ends>
class MinifloatRounding {
 public:
  using D = hn::ScalableTag<Lane>;
  using V = hn::Vec<D>;

  explicit MinifloatRounding(const MinifloatConstants& c)
      : exponents_(hn::BitCast(DI(), hn::Set(D(), std::numeric_limits<Lane>::infinity()))),
        least_(hn::BitCast(DI(), hn::Set(D(), static_cast<Lane>(std::ldexp(1.0, c.exponent))))),
        offset_(hn::Set(
            DI(), (static_cast<Bits>(kStored - c.bits) << kStored) | (Bits{1} << (kStored - 1)))),
        half_step_(hn::Set(DI(), static_cast<Bits>(c.bits + 1) << kStored)),
        rest_(hn::Set(DI(), (Bits{1} << (kStored - c.bits)) - 1)),
        half_rest_(hn::Set(DI(), (Bits{1} << (kStored - c.bits)) / 2)),
        sign_(hn::SignBit(D())),
        power_(hn::Set(D(), static_cast<Lane>(std::ldexp(1.0, kStored - c.bits)))),
        highest_(hn::Set(D(), static_cast<Lane>(c.highest))),
        lowest_(hn::Neg(highest_)),
        beyond_(hn::Set(D(), static_cast<Lane>(c.beyond))),
        up_(hn::Set(D(), static_cast<Lane>(std::ldexp(1.0, kMaxExponent - c.highest_exponent)))),
        down_(hn::Set(D(), static_cast<Lane>(std::ldexp(1.0, c.highest_exponent - kMaxExponent)))) {
  }

  // Added and taken off again, 1.5 * 2^(kStored - bits) times the power of two below x leaves x
  // with so many bits. Below the normal numbers the power stays what it is there, which sums do not
  // need that are multiples of the smallest number. With x = 0, infinity and NaN it is finite too.
  template <bool is_small, bool has_sign>
  HWY_INLINE V Large(V x) const {
    VI power = hn::And(hn::BitCast(DI(), x), exponents_);
    if constexpr (is_small) power = hn::Max(power, least_);
    const V large = hn::BitCast(D(), hn::Add(power, offset_));
    return has_sign ? hn::OrAnd(large, x, sign_) : large;
  }

  // The same of a normal number that is finite, or zero, by multiply-adds: 2^(kStored - bits) times
  // the power, with the sign of x.
  HWY_INLINE V RoundNormal(V x) const {
    const V power = hn::BitCast(
        D(), hn::And(hn::BitCast(DI(), x), hn::Or(exponents_, hn::BitCast(DI(), sign_))));
    return hn::NegMulAdd(power, power_, hn::MulAdd(power, power_, x));
  }

  // Whether x is the middle of two numbers of the format.
  template <bool is_small>
  HWY_INLINE hn::Mask<D> IsTie(V x) const {
    const VI bits = hn::BitCast(DI(), x);
    if constexpr (!is_small) {
      return hn::RebindMask(D(), hn::Eq(hn::And(bits, rest_), half_rest_));
    }
    const V large = Large<true, false>(x);
    const V distance = hn::Abs(hn::Sub(x, hn::Sub(hn::Add(x, large), large)));
    const VI power = hn::Max(hn::And(bits, exponents_), least_);
    return hn::Eq(distance, hn::BitCast(D(), hn::Sub(power, half_step_)));
  }

  // What is beyond the ends becomes of y, and the sign of x, where y may be zero.
  template <bool is_small>
  HWY_INLINE V End(V y, V x) const {
    if constexpr (ends == MinifloatEnds::clamp) y = hn::Max(hn::Min(y, highest_), lowest_);
    if constexpr (ends == MinifloatEnds::infinite) y = hn::Mul(hn::Mul(y, up_), down_);
    if constexpr (ends == MinifloatEnds::replace) {
      y = hn::IfThenElse(hn::Gt(hn::Abs(y), highest_), hn::OrAnd(beyond_, x, sign_), y);
    }
    return is_small ? hn::OrAnd(y, x, sign_) : y;
  }

 private:
  static constexpr int kStored = std::numeric_limits<Lane>::digits - 1;
  static constexpr int kMaxExponent = std::numeric_limits<Lane>::max_exponent - 1;
  using DI = hn::RebindToSigned<D>;
  using VI = hn::Vec<DI>;
  using Bits = hn::TFromD<DI>;

  VI exponents_, least_, offset_, half_step_, rest_, half_rest_;
  V sign_, power_, highest_, lowest_, beyond_, up_, down_;
};

// The machine rounds once more, before the op does: see minifloat_sum_plan.cc for where that is
// harmless. A product is rounded once, whatever its factors: by the fused multiply-add that adds
// the large number, to a grid that the product's exponent alone decides.
template <class Lane, MinifloatProducts products, MinifloatSums sums, MinifloatEnds product_ends,
          MinifloatEnds sum_ends, bool to_zero>
struct MinifloatOp : LaneOp<Lane> {
  using typename LaneOp<Lane>::V;
  using typename LaneOp<Lane>::Sum;
  using Open = std::conditional_t<
      sum_ends == MinifloatEnds::open, void,
      MinifloatOp<Lane, products, sums, product_ends, MinifloatEnds::open, to_zero>>;

  // Adds exact products as the machine does in place of rounding to odd first, which gives the same
  // as long as no sum in the lanes is a tie: on the way there no rounding moves a number over one.
  template <MinifloatSums as>
  using WithoutTies = MinifloatOp<Lane, products, as, product_ends, sum_ends, to_zero>;
  static constexpr bool kMayGoWithoutTies =
      sums == MinifloatSums::odd && products == MinifloatProducts::exact;

  explicit MinifloatOp(const SumConstants& c)
      : product_(c.minifloat.product), sum_(c.minifloat.sum) {}

  // A sum, as the lanes round it.
  HWY_INLINE Sum Before(Sum s, V a, V b) const {
    if constexpr (sums == MinifloatSums::odd) {
      return AddToOdd(typename LaneOp<Lane>::D(), s, Product(a, b));
    }
    if constexpr (kProductsAreExact) return hn::MulAdd(a, b, s);
    return hn::Add(s, Product(a, b));
  }
  HWY_INLINE Sum Step(Sum s, V a, V b) const { return Rounded(Before(s, a, b)); }
  // The same; notes ties.
  HWY_INLINE Sum Step(Sum s, V a, V b, hn::Mask<typename LaneOp<Lane>::D>& ties) const {
    const Sum sum = Before(s, a, b);
    ties = hn::Or(ties, sum_.template IsTie<kKeepsZeros>(sum));
    return Rounded(sum);
  }

  static constexpr bool kProductsAreExact = products == MinifloatProducts::exact;
  static constexpr bool kSumsAreOfMachine = sums == MinifloatSums::machine;
  static constexpr bool kSumsHaveEnds = sum_ends != MinifloatEnds::open;
  static constexpr bool kRoundsToZero = to_zero;

  // Exact ones are exact in float64 alone.
  HWY_INLINE V Product(V a, V b) const {
    const V x = hn::Mul(a, b);
    if constexpr (products != MinifloatProducts::rounded) return x;
    const V large = product_.template Large<true, to_zero>(x);
    return product_.template End<kKeepsZeros>(hn::Sub(hn::MulAdd(a, b, large), large), x);
  }

 private:
  // Where sums cannot be -0, the sign of a product that is zero does not matter.
  static constexpr bool kKeepsZeros = sums == MinifloatSums::small || sums == MinifloatSums::odd;

  HWY_INLINE V Rounded(V x) const {
    if constexpr (sums == MinifloatSums::machine) return x;
    constexpr bool kIsFinite = sum_ends == MinifloatEnds::open || sum_ends == MinifloatEnds::clamp;
    if constexpr (sums == MinifloatSums::rounded && kIsFinite) {
      return sum_.template End<false>(sum_.RoundNormal(x), x);
    }
    const V large = sum_.template Large<kKeepsZeros, to_zero>(x);
    return sum_.template End<kKeepsZeros>(hn::Sub(hn::Add(x, large), large), x);
  }

  MinifloatRounding<Lane, product_ends> product_;
  MinifloatRounding<Lane, sum_ends> sum_;
};

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_MINIFLOAT_SUM_INL_H_
