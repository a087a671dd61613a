// Rounding to floats of fewer exponents. Compiled once a target.
#if defined(TENSORQUANT_KERNELS_SCALED_ROUNDING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_KERNELS_SCALED_ROUNDING_INL_H_
#undef TENSORQUANT_KERNELS_SCALED_ROUNDING_INL_H_
#else
#define TENSORQUANT_KERNELS_SCALED_ROUNDING_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <limits>

#include "tensorquant/base/bits.h"
#include "tensorquant/formats/answers.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
inline constexpr int kStoredBits = std::numeric_limits<T>::digits - 1;

// Exponents below T's own: x is scaled so that neighbours of the format are one apart, rounded
// there and scaled back; both scalings are by powers of two and exact. Magnitudes beyond the
// format's are rounded as if it had a larger one, or saturate.
template <bool saturating, class T>
struct ScaledRounding {
  using Bits = BitsOf<T>;

  ScaledRounding(double largest, int min_exponent, int significand_bits)
      : largest_(static_cast<T>(largest)),
        smallest_normal_(field(min_exponent)),
        step_shift_(exponents(significand_bits)),
        inverse_sum_(2 * field(0) + step_shift_) {}

  // round(d, t) rounds to an integer. The sign of a zero is that which `round` leaves.
  template <class D, class V, class Round>
  HWY_INLINE V operator()(D d, V x, const Round& round) const {
    const hn::RebindToUnsigned<D> du;
    const auto exponent_mask = hn::Set(du, to_bits(std::numeric_limits<T>::infinity()));
    const auto power =
        hn::Max(hn::And(hn::BitCast(du, x), exponent_mask), hn::Set(du, smallest_normal_));
    const V step = hn::BitCast(d, hn::Sub(power, hn::Set(du, step_shift_)));
    // The exponent fields of 2^e and 2^-e add up to twice the bias.
    const V inverse_step = hn::BitCast(d, hn::Sub(hn::Set(du, inverse_sum_), power));
    const V y = hn::Mul(round(d, hn::Mul(x, inverse_step)), step);
    if constexpr (!saturating) return y;
    return hn::Max(hn::Min(y, hn::Set(d, largest_)), hn::Set(d, -largest_));
  }

 private:
  // So many exponents, as an addend of the exponent field; the field of 2^exponent itself.
  static Bits exponents(int count) { return static_cast<Bits>(count) << kStoredBits<T>; }
  static Bits field(int exponent) { return exponents(exponent + kMaxExponent<T>); }

  T largest_;
  Bits smallest_normal_, step_shift_, inverse_sum_;
};

// One by one, where steps of the format are no normal numbers of T.
template <class F, class T>
void RunReference(const F& format, const RandomStream& random, const Part<T>& part) {
  if (is_random(format)) {
    for (std::size_t i = 0; i < part.count; ++i) {
      part.out[i] = quantize_reference(format, part.in[i], draw(format, random, part.first + i));
    }
    return;
  }
  const hn::ScalableTag<T> d;
  ForEachVector(part, NothingSpecial(), [&](auto x) HWY_ATTR {
    HWY_ALIGN T numbers[HWY_MAX_BYTES / sizeof(T)];
    hn::Store(x, d, numbers);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
      numbers[i] = quantize_reference(format, numbers[i]);
    }
    return hn::Load(d, numbers);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_SCALED_ROUNDING_INL_H_
