// Steps of a sum of products, s = A(s + P(a * b)), for exact and for fixed-point arithmetic. Numbers
// are integers of units: see SumConstants. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_FIXED_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_FIXED_SUM_INL_H_
#undef TENSORQUANT_ARITHMETIC_FIXED_SUM_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_FIXED_SUM_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "tensorquant/arithmetic/sum_kernels.h"
#include "tensorquant/base/bits.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Every op has: D, the lanes; T; Sum, what is added up; Zero, Load, Step and Store.

// Nothing rounds.
struct ExactOp {
  using T = float;
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;
  using Sum = V;

  Sum Zero() const { return hn::Zero(D()); }
  V Load(const float* b) const { return hn::LoadU(D(), b); }
  HWY_INLINE Sum Step(Sum s, V a, V b) const { return hn::MulAdd(a, b, s); }
  void Store(Sum s, std::size_t, double* out) const {
    HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
    hn::Store(s, D(), lanes);
    for (std::size_t i = 0; i < hn::Lanes(D()); ++i) out[i] = lanes[i];
  }
};

// The bits of a * b + magic are those of magic plus the rounded product, as an integer; the sum is
// an int32.
template <bool clamps_products, bool clamps_sums, bool shifts>
struct FixedIntOp {
  using T = float;
  using D = hn::ScalableTag<float>;
  using DI = hn::RebindToSigned<D>;
  using V = hn::Vec<D>;
  using Sum = hn::Vec<DI>;

  explicit FixedIntOp(const SumConstants& c)
      : magic(hn::Set(D(), static_cast<float>(c.magic))),
        // The product's step is 2^shift units.
        lowest_product(hn::Set(D(), At(c, c.lowest_product))),
        highest_product(hn::Set(D(), At(c, c.highest_product))),
        bias(hn::BitCast(DI(), magic)),
        lowest_sum(hn::Set(DI(), static_cast<std::int32_t>(c.lowest_sum))),
        highest_sum(hn::Set(DI(), static_cast<std::int32_t>(c.highest_sum))),
        unit(c.unit),
        shift(c.shift) {}

  Sum Zero() const { return hn::Zero(DI()); }
  V Load(const float* b) const { return hn::LoadU(D(), b); }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    V p = hn::MulAdd(a, b, magic);
    if constexpr (clamps_products) p = hn::Max(hn::Min(p, highest_product), lowest_product);
    Sum k = hn::BitCast(DI(), p);
    // Without limits the biases add up modulo 2^32 and are taken off at the end.
    if constexpr (!clamps_sums && !shifts) return hn::Add(s, k);
    k = hn::Sub(k, bias);
    if constexpr (shifts) k = hn::ShiftLeftSame(k, shift);
    s = hn::Add(s, k);
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_sum), lowest_sum);
    return s;
  }
  void Store(Sum s, std::size_t taps, double* out) const {
    if constexpr (!clamps_sums && !shifts) {
      HWY_ALIGN std::int32_t one_bias[HWY_MAX_BYTES / sizeof(std::int32_t)];
      hn::Store(bias, DI(), one_bias);
      const std::uint32_t biases =
          static_cast<std::uint32_t>(one_bias[0]) * static_cast<std::uint32_t>(taps);
      s = hn::Sub(s, hn::Set(DI(), static_cast<std::int32_t>(biases)));
    }
    HWY_ALIGN std::int32_t lanes[HWY_MAX_BYTES / sizeof(std::int32_t)];
    hn::Store(s, DI(), lanes);
    for (std::size_t i = 0; i < hn::Lanes(DI()); ++i) out[i] = unit * lanes[i];
  }

 private:
  // magic plus a product of so many of its own steps.
  static float At(const SumConstants& c, double steps) {
    return static_cast<float>(c.magic + steps * (c.magic / 0xC00000p0));
  }

  V magic, lowest_product, highest_product;
  Sum bias, lowest_sum, highest_sum;
  double unit;
  int shift;
};

// Ties away from zero and rounding to zero, for products that may have more bits than a float. The
// machine rounds to zero: that moves no product over an integer or a half.
template <bool nearest, bool clamps_products, bool clamps_sums>
struct FixedFloatOp {
  using T = float;
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;
  using Sum = V;

  explicit FixedFloatOp(const SumConstants& c)
      : half(hn::Set(D(), 0.5f)),
        sign(hn::SignBit(D())),
        lowest_product(hn::Set(D(), static_cast<float>(c.lowest_product))),
        highest_product(hn::Set(D(), static_cast<float>(c.highest_product))),
        lowest_sum(hn::Set(D(), static_cast<float>(c.lowest_sum))),
        highest_sum(hn::Set(D(), static_cast<float>(c.highest_sum))),
        unit(c.unit) {}

  Sum Zero() const { return hn::Zero(D()); }
  V Load(const float* b) const { return hn::LoadU(D(), b); }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    V p = hn::Mul(a, b);
    if constexpr (nearest) p = hn::Add(p, hn::OrAnd(half, p, sign));
    p = hn::Trunc(p);
    if constexpr (clamps_products) p = hn::Max(hn::Min(p, highest_product), lowest_product);
    s = hn::Add(s, p);
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_sum), lowest_sum);
    return s;
  }
  void Store(Sum s, std::size_t, double* out) const {
    HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
    hn::Store(s, D(), lanes);
    for (std::size_t i = 0; i < hn::Lanes(D()); ++i) out[i] = unit * lanes[i];
  }

 private:
  V half, sign, lowest_product, highest_product, lowest_sum, highest_sum;
  double unit;
};

inline constexpr int kNoRounding = 0, kEven = 1, kNearest = 2;

// Any widths. Ties away from zero are ties to even of factors that are larger by some 2^-50: a
// product has 48 bits, so only ties notice.
template <bool rounds_products, bool clamps_products, bool clamps_sums>
struct FixedDoubleOp {
  using T = double;
  using D = hn::ScalableTag<double>;
  using V = hn::Vec<D>;
  using Sum = V;

  explicit FixedDoubleOp(const SumConstants& c)
      : magic(hn::Set(D(), c.magic)),
        lowest_product(hn::Set(D(), c.magic + c.lowest_product)),
        highest_product(hn::Set(D(), c.magic + c.highest_product)),
        lowest_sum(hn::Set(D(), c.lowest_sum)),
        highest_sum(hn::Set(D(), c.highest_sum)),
        unit(c.unit) {}

  Sum Zero() const { return hn::Zero(D()); }
  V Load(const float* b) const {
    return hn::PromoteTo(D(), hn::LoadU(hn::Rebind<float, D>(), b));
  }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    if constexpr (rounds_products) {
      V p = hn::MulAdd(a, b, magic);
      if constexpr (clamps_products) p = hn::Max(hn::Min(p, highest_product), lowest_product);
      s = hn::Add(s, hn::Sub(p, magic));
    } else {
      s = hn::MulAdd(a, b, s);
    }
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_sum), lowest_sum);
    return s;
  }
  void Store(Sum s, std::size_t, double* out) const {
    hn::StoreU(hn::Mul(s, hn::Set(D(), unit)), D(), out);
  }

 private:
  V magic, lowest_product, highest_product, lowest_sum, highest_sum;
  double unit;
};

// Rounded products without limits for their sum: the bits of magic plus product add up as int64.
template <bool clamps_products>
struct FixedLongOp {
  using T = double;
  using D = hn::ScalableTag<double>;
  using DI = hn::RebindToSigned<D>;
  using V = hn::Vec<D>;
  using Sum = hn::Vec<DI>;

  explicit FixedLongOp(const SumConstants& c)
      : magic(hn::Set(D(), c.magic)),
        lowest_product(hn::Set(D(), c.magic + c.lowest_product)),
        highest_product(hn::Set(D(), c.magic + c.highest_product)),
        bias(to_bits(c.magic)),
        step(c.unit * c.magic / 0x1.8p52) {}

  Sum Zero() const { return hn::Zero(DI()); }
  V Load(const float* b) const {
    return hn::PromoteTo(D(), hn::LoadU(hn::Rebind<float, D>(), b));
  }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    V p = hn::MulAdd(a, b, magic);
    if constexpr (clamps_products) p = hn::Max(hn::Min(p, highest_product), lowest_product);
    return hn::Add(s, hn::BitCast(DI(), p));
  }
  void Store(Sum s, std::size_t taps, double* out) const {
    HWY_ALIGN std::int64_t lanes[HWY_MAX_BYTES / sizeof(std::int64_t)];
    hn::Store(s, DI(), lanes);
    for (std::size_t i = 0; i < hn::Lanes(DI()); ++i) {
      const std::uint64_t sum = static_cast<std::uint64_t>(lanes[i]) - bias * taps;
      out[i] = step * static_cast<double>(static_cast<std::int64_t>(sum));
    }
  }

 private:
  V magic, lowest_product, highest_product;
  std::uint64_t bias;
  double step;
};

// Rounded products whose sums are rounded too, to even or away from zero. A sum is kept less magic,
// which the next product brings along; adding sum_magic makes it an integer of units. Ties go away
// from zero where the sum is made larger by 2^-50 of itself, which is less than its last bit.
template <bool clamps_products, int sum_rounding, bool clamps_sums>
struct RoundedDoubleOp {
  using T = double;
  using D = hn::ScalableTag<double>;
  using V = hn::Vec<D>;
  using Sum = V;

  explicit RoundedDoubleOp(const SumConstants& c)
      : magic(hn::Set(D(), c.magic)),
        lowest_product(hn::Set(D(), c.magic + c.lowest_product)),
        highest_product(hn::Set(D(), c.magic + c.highest_product)),
        nudge(hn::Set(D(), 1 + 0x1p-50)),
        sum_magic(hn::Set(D(), 0x1.8p52)),
        both(hn::Set(D(), 0x1.8p52 + c.magic)),
        lowest_sum(hn::Set(D(), c.lowest_sum - c.magic)),
        highest_sum(hn::Set(D(), c.highest_sum - c.magic)),
        unit(c.unit) {}

  Sum Zero() const { return hn::Neg(magic); }
  V Load(const float* b) const {
    return hn::PromoteTo(D(), hn::LoadU(hn::Rebind<float, D>(), b));
  }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    V p = hn::MulAdd(a, b, magic);
    if constexpr (clamps_products) p = hn::Max(hn::Min(p, highest_product), lowest_product);
    s = hn::Add(s, p);  // exact
    if constexpr (sum_rounding == kEven) s = hn::Add(s, sum_magic);
    if constexpr (sum_rounding == kNearest) s = hn::MulAdd(s, nudge, sum_magic);
    s = hn::Sub(s, both);
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_sum), lowest_sum);
    return s;
  }
  void Store(Sum s, std::size_t, double* out) const {
    hn::StoreU(hn::Mul(hn::Add(s, magic), hn::Set(D(), unit)), D(), out);
  }

 private:
  V magic, lowest_product, highest_product, nudge, sum_magic, both, lowest_sum, highest_sum;
  double unit;
};

// The same for exact products.
template <int sum_rounding, bool clamps_sums>
struct RoundedExactOp : FixedDoubleOp<false, false, false> {
  using Base = FixedDoubleOp<false, false, false>;
  using V = typename Base::V;
  using Sum = V;

  explicit RoundedExactOp(const SumConstants& c)
      : Base(c),
        half(hn::Set(D(), 0.5)),
        sign(hn::SignBit(D())),
        lowest(hn::Set(D(), c.lowest_sum)),
        highest(hn::Set(D(), c.highest_sum)) {}

  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    s = Base::Step(s, a, b);
    if constexpr (sum_rounding == kEven) s = hn::Round(s);
    if constexpr (sum_rounding == kNearest) s = hn::Trunc(hn::Add(s, hn::OrAnd(half, s, sign)));
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest), lowest);
    return s;
  }

 private:
  V half, sign, lowest, highest;
};

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_FIXED_SUM_INL_H_
