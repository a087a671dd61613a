// Steps of a sum of products in small floats. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_MINIFLOAT_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_MINIFLOAT_SUM_INL_H_
#undef TENSORQUANT_ARITHMETIC_MINIFLOAT_SUM_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_MINIFLOAT_SUM_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "tensorquant/arithmetic/sum_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Ties to even, to at most 11 bits, of products that are exact in float32. The float32 sum of two
// such numbers, rounded again to their precision, is the sum rounded once: 24 >= 2 * 11 + 2 (S.
// Figueroa, "When is double rounding innocuous?", 1995).
template <bool rounds_products, bool clamps>
struct MinifloatOp {
  using T = float;
  using D = hn::ScalableTag<float>;
  using DI = hn::RebindToSigned<D>;
  using V = hn::Vec<D>;
  using VI = hn::Vec<DI>;
  using Sum = V;

  explicit MinifloatOp(const SumConstants& c)
      : product(c.product_bits, c.product_exponent, c.highest_product),
        sum(c.sum_bits, c.sum_exponent, c.highest_sum) {}

  Sum Zero() const { return hn::Zero(D()); }
  V Load(const float* b) const { return hn::LoadU(D(), b); }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    V p = hn::Mul(a, b);
    if constexpr (rounds_products) p = product.Round(p);
    return sum.Round(hn::Add(s, p));
  }
  void Store(Sum s, std::size_t, double* out) const {
    HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
    hn::Store(s, D(), lanes);
    for (std::size_t i = 0; i < hn::Lanes(D()); ++i) out[i] = lanes[i];
  }

 private:
  struct Format {
    Format(int bits, int exponent, double largest)
        : exponents(hn::Set(DI(), 0x7F800000)),
          least(hn::Set(DI(), (exponent + 127) << 23)),
          offset(hn::Set(DI(), ((23 - bits) << 23) | 0x400000)),
          sign(hn::SignBit(D())),
          highest(hn::Set(D(), static_cast<float>(largest))),
          lowest(hn::Neg(highest)) {}

    // Added and taken off again, 1.5 * 2^(23 - bits) times the power of two below x leaves x with
    // so many bits.
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

  Format product, sum;
};

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_MINIFLOAT_SUM_INL_H_
