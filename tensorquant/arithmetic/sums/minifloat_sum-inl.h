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

#include "tensorquant/arithmetic/sums/fixed_sum-inl.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Ties to even. The lanes' sum of two numbers of at most p bits, rounded again to as few, is the
// sum rounded once where the lanes have 2 p + 2 bits (S. Figueroa, "When is double rounding
// innocuous?", 1995): float32 serves 11 bits, if the products are exact in it, and float64 all
// formats. Products that are not rounded need sums that are exact.
template <class Lane, bool rounds_products, bool clamps>
struct MinifloatOp : LaneOp<Lane> {
  using T = Lane;
  using typename LaneOp<T>::D;
  using typename LaneOp<T>::V;
  using typename LaneOp<T>::Sum;
  using DI = hn::RebindToSigned<D>;
  using VI = hn::Vec<DI>;

  explicit MinifloatOp(const SumConstants& c)
      : product_(c.product_bits, c.product_exponent, c.highest_product),
        sum_(c.sum_bits, c.sum_exponent, c.highest_sum) {}

  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    if constexpr (rounds_products) return sum_.Round(hn::Add(s, product_.Round(hn::Mul(a, b))));
    return sum_.Round(hn::MulAdd(a, b, s));
  }

 private:
  static constexpr int kStored = std::numeric_limits<T>::digits - 1;
  using Bits = hn::TFromD<DI>;

  struct Format {
    Format(int bits, int exponent, double largest)
        : exponents(hn::BitCast(DI(), hn::Set(D(), std::numeric_limits<T>::infinity()))),
          least(hn::BitCast(DI(), hn::Set(D(), static_cast<T>(std::ldexp(1.0, exponent))))),
          offset(hn::Set(
              DI(), (static_cast<Bits>(kStored - bits) << kStored) | (Bits{1} << (kStored - 1)))),
          sign(hn::SignBit(D())),
          highest(hn::Set(D(), static_cast<T>(largest))),
          lowest(hn::Neg(highest)) {}

    // Added and taken off again, 1.5 * 2^(kStored - bits) times the power of two below x leaves x
    // with so many bits.
    HWY_INLINE V Round(V x) const {
      const VI power = hn::Max(hn::And(hn::BitCast(DI(), x), exponents), least);
      const V large = hn::BitCast(D(), hn::Add(power, offset));
      V y = hn::Sub(hn::Add(x, large), large);
      if constexpr (clamps) y = hn::Max(hn::Min(y, highest), lowest);
      return hn::OrAnd(y, x, sign);  // what is rounded to zero keeps its sign
    }

    VI exponents, least, offset;
    V sign, highest, lowest;
  };

  Format product_, sum_;
};

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_MINIFLOAT_SUM_INL_H_
