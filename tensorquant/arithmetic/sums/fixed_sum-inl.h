// Steps of a sum of products, s = A(s + P(a * b)), for exact and for fixed-point arithmetic.
// Numbers are integers of units: see SumConstants. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_FIXED_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_FIXED_SUM_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_FIXED_SUM_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_FIXED_SUM_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tensorquant/arithmetic/sums/sum_kernels.h"
#include "tensorquant/base/bits.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Every op has a Packing and is one: D, a lane for each column; A and B, the packed factors, of so
// many taps together; PackRow, and PackStep where there are several taps. Besides, Sum, what is
// added up, Broadcast, Zero, Load, Step and Store, which gives the sums as double.
template <class Lane>
struct LaneOp {
  using Packing = LaneOp;
  using T = Lane;
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  using Sum = V;
  using A = T;
  using B = float;
  // The same op without its limits of sums, whose sums Magnitude() tells: see SumConstants.
  using Open = void;
  // Whether there is a faster op, WithoutTies: see MinifloatOp.
  static constexpr bool kMayGoWithoutTies = false;
  static constexpr std::size_t kTogether = 1;

  A PackRow(const double* taps) const { return static_cast<A>(taps[0]); }
  V Broadcast(A a) const { return hn::Set(D(), a); }
  Sum Zero() const { return hn::Zero(D()); }
  V Load(const float* b) const {
    if constexpr (sizeof(T) == sizeof(float)) {
      return hn::LoadU(D(), b);
    } else {
      return hn::PromoteTo(D(), hn::LoadU(hn::Rebind<float, D>(), b));
    }
  }
  void Store(Sum s, std::size_t, double* out) const {
    HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)];
    hn::Store(s, D(), lanes);
    for (std::size_t i = 0; i < hn::Lanes(D()); ++i) out[i] = unit * lanes[i];
  }

  V Magnitude(Sum s, std::size_t) const { return hn::Abs(s); }

  double unit = 1;
};

// Nothing rounds.
struct ExactOp : LaneOp<float> {
  HWY_INLINE Sum Step(Sum s, V a, V b) const { return hn::MulAdd(a, b, s); }
};

// Limits of a rounded product, which is magic plus steps.
template <class V>
struct ProductLimits {
  V magic, lowest, highest;

  template <bool clamps>
  HWY_INLINE V Product(V a, V b) const {
    const V p = hn::MulAdd(a, b, magic);
    return clamps ? hn::Max(hn::Min(p, highest), lowest) : p;
  }
};

// `step`: a product's step in the units of the limits in `c`.
template <class D>
ProductLimits<hn::Vec<D>> LimitsOf(D d, const SumConstants& c, double step) {
  using T = hn::TFromD<D>;
  return {hn::Set(d, static_cast<T>(c.magic)),
          hn::Set(d, static_cast<T>(c.magic + c.lowest_product * step)),
          hn::Set(d, static_cast<T>(c.magic + c.highest_product * step))};
}

// The bits of a * b + magic are those of magic plus the rounded product, as an integer; the sum is
// an int32. Without limits magic's own bits may add up modulo 2^32 and be taken off at the end.
template <bool clamps_products, bool clamps_sums, bool shifts,
          bool is_biased = !clamps_sums && !shifts>
struct FixedIntOp : LaneOp<float> {
  using DI = hn::RebindToSigned<D>;
  using Sum = hn::Vec<DI>;
  using Open = std::conditional_t<clamps_sums, FixedIntOp<clamps_products, false, shifts>, void>;

  explicit FixedIntOp(const SumConstants& c)
      : LaneOp{c.unit},
        products_(LimitsOf(D(), c, c.magic / 0xC00000p0)),  // the last bit of magic
        bias_(hn::BitCast(DI(), products_.magic)),
        lowest_sum_(hn::Set(DI(), static_cast<std::int32_t>(c.lowest_sum))),
        highest_sum_(hn::Set(DI(), static_cast<std::int32_t>(c.highest_sum))),
        one_bias_(to_bits(static_cast<float>(c.magic))),
        shift_(c.shift) {}

  Sum Zero() const { return hn::Zero(DI()); }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    Sum k = hn::BitCast(DI(), products_.template Product<clamps_products>(a, b));
    if constexpr (is_biased) return hn::Add(s, k);
    k = hn::Sub(k, bias_);
    if constexpr (shifts) k = hn::ShiftLeftSame(k, shift_);
    s = hn::Add(s, k);
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_sum_), lowest_sum_);
    return s;
  }
  Sum Magnitude(Sum s, std::size_t taps) const {
    const std::uint32_t biases = is_biased ? one_bias_ * static_cast<std::uint32_t>(taps) : 0;
    return hn::Abs(hn::Sub(s, hn::Set(DI(), static_cast<std::int32_t>(biases))));
  }
  void Store(Sum s, std::size_t taps, double* out) const {
    const std::uint32_t biases = is_biased ? one_bias_ * static_cast<std::uint32_t>(taps) : 0;
    HWY_ALIGN std::int32_t lanes[HWY_MAX_BYTES / sizeof(std::int32_t)];
    hn::Store(s, DI(), lanes);
    for (std::size_t i = 0; i < hn::Lanes(DI()); ++i) {
      out[i] = unit * static_cast<std::int32_t>(static_cast<std::uint32_t>(lanes[i]) - biases);
    }
  }

 private:
  ProductLimits<V> products_;
  Sum bias_, lowest_sum_, highest_sum_;
  std::uint32_t one_bias_;
  int shift_;
};

// Ties away from zero and rounding to zero, for products that may have more bits than a float. The
// machine rounds to zero: that moves no product over an integer or a half.
template <bool nearest, bool clamps_products, bool clamps_sums>
struct FixedFloatOp : LaneOp<float> {
  using Open = std::conditional_t<clamps_sums, FixedFloatOp<nearest, clamps_products, false>, void>;

  explicit FixedFloatOp(const SumConstants& c)
      : LaneOp{c.unit},
        half_(hn::Set(D(), 0.5f)),
        sign_(hn::SignBit(D())),
        lowest_product_(hn::Set(D(), static_cast<float>(c.lowest_product))),
        highest_product_(hn::Set(D(), static_cast<float>(c.highest_product))),
        lowest_sum_(hn::Set(D(), static_cast<float>(c.lowest_sum))),
        highest_sum_(hn::Set(D(), static_cast<float>(c.highest_sum))) {}

  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    V p = hn::Mul(a, b);
    if constexpr (nearest) p = hn::Add(p, hn::OrAnd(half_, p, sign_));
    p = hn::Trunc(p);
    if constexpr (clamps_products) p = hn::Max(hn::Min(p, highest_product_), lowest_product_);
    s = hn::Add(s, p);
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_sum_), lowest_sum_);
    return s;
  }

 private:
  V half_, sign_, lowest_product_, highest_product_, lowest_sum_, highest_sum_;
};

inline constexpr int kEven = 1, kNearest = 2;

// Any widths. Ties away from zero are ties to even of factors that are larger by some 2^-50: a
// product has 48 bits, so only ties notice.
template <bool rounds_products, bool clamps_products, bool clamps_sums>
struct FixedDoubleOp : LaneOp<double> {
  explicit FixedDoubleOp(const SumConstants& c)
      : LaneOp{c.unit},
        products_(LimitsOf(D(), c, 1)),
        lowest_sum_(hn::Set(D(), c.lowest_sum)),
        highest_sum_(hn::Set(D(), c.highest_sum)) {}

  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    if constexpr (rounds_products) {
      const V p = products_.template Product<clamps_products>(a, b);
      s = hn::Add(s, hn::Sub(p, products_.magic));
    } else {
      s = hn::MulAdd(a, b, s);
    }
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_sum_), lowest_sum_);
    return s;
  }

 private:
  ProductLimits<V> products_;
  V lowest_sum_, highest_sum_;
};

// Rounded products without limits for their sum: the bits of magic plus product add up as int64.
template <bool clamps_products>
struct FixedLongOp : LaneOp<double> {
  using DI = hn::RebindToSigned<D>;
  using Sum = hn::Vec<DI>;

  explicit FixedLongOp(const SumConstants& c)
      : LaneOp{c.unit * c.magic / 0x1.8p52},  // the last bit of magic
        products_(LimitsOf(D(), c, 1)),
        bias_(to_bits(c.magic)) {}

  Sum Zero() const { return hn::Zero(DI()); }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    return hn::Add(s, hn::BitCast(DI(), products_.template Product<clamps_products>(a, b)));
  }
  void Store(Sum s, std::size_t taps, double* out) const {
    HWY_ALIGN std::int64_t lanes[HWY_MAX_BYTES / sizeof(std::int64_t)];
    hn::Store(s, DI(), lanes);
    for (std::size_t i = 0; i < hn::Lanes(DI()); ++i) {
      const std::uint64_t sum = static_cast<std::uint64_t>(lanes[i]) - bias_ * taps;
      out[i] = unit * static_cast<double>(static_cast<std::int64_t>(sum));
    }
  }

 private:
  ProductLimits<V> products_;
  std::uint64_t bias_;
};

// Rounded products whose sums are rounded too, to even or away from zero. A sum is kept less magic,
// which the next product brings along; adding sum_magic makes it an integer of units. Ties go away
// from zero where the sum is made larger by 2^-50 of itself, which is less than its last bit.
template <bool clamps_products, int sum_rounding, bool clamps_sums>
struct RoundedDoubleOp : LaneOp<double> {
  explicit RoundedDoubleOp(const SumConstants& c)
      : LaneOp{c.unit},
        products_(LimitsOf(D(), c, 1)),
        nudge_(hn::Set(D(), 1 + 0x1p-50)),
        sum_magic_(hn::Set(D(), 0x1.8p52)),
        both_(hn::Set(D(), 0x1.8p52 + c.magic)),
        lowest_sum_(hn::Set(D(), c.lowest_sum - c.magic)),
        highest_sum_(hn::Set(D(), c.highest_sum - c.magic)) {}

  Sum Zero() const { return hn::Neg(products_.magic); }
  // The sum itself, exactly.
  HWY_INLINE Sum Before(Sum s, V a, V b) const {
    return hn::Add(s, products_.template Product<clamps_products>(a, b));
  }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    s = Before(s, a, b);
    if constexpr (sum_rounding == kEven) s = hn::Add(s, sum_magic_);
    if constexpr (sum_rounding == kNearest) s = hn::MulAdd(s, nudge_, sum_magic_);
    s = hn::Sub(s, both_);
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_sum_), lowest_sum_);
    return s;
  }
  void Store(Sum s, std::size_t taps, double* out) const {
    LaneOp::Store(hn::Add(s, products_.magic), taps, out);
  }

 private:
  ProductLimits<V> products_;
  V nudge_, sum_magic_, both_, lowest_sum_, highest_sum_;
};

// The same for exact products.
template <int sum_rounding, bool clamps_sums>
struct RoundedExactOp : LaneOp<double> {
  explicit RoundedExactOp(const SumConstants& c)
      : LaneOp{c.unit},
        half_(hn::Set(D(), 0.5)),
        sign_(hn::SignBit(D())),
        lowest_(hn::Set(D(), c.lowest_sum)),
        highest_(hn::Set(D(), c.highest_sum)) {}

  HWY_INLINE Sum Before(Sum s, V a, V b) const { return hn::MulAdd(a, b, s); }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    s = Before(s, a, b);
    if constexpr (sum_rounding == kEven) s = hn::Round(s);
    if constexpr (sum_rounding == kNearest) s = hn::Trunc(hn::Add(s, hn::OrAnd(half_, s, sign_)));
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_), lowest_);
    return s;
  }

 private:
  V half_, sign_, lowest_, highest_;
};

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_FIXED_SUM_INL_H_
