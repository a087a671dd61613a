// Sums of products of small integers. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_INTEGER_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_INTEGER_SUM_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_INTEGER_SUM_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_INTEGER_SUM_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "tensorquant/arithmetic/sums/sum_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR  // which has no pairs, nor runs these loops

// Two taps at a time: pairs of int16, whose two products are added to an int32. A lane of int32 is
// a column, and holds a pair.
struct IntegerOp {
  using Packing = IntegerOp;
  using Open = void;
  static constexpr bool kMayGoWithoutTies = false;
  using D = hn::ScalableTag<std::int32_t>;
  using Pairs = hn::Repartition<std::int16_t, D>;
  using V = hn::Vec<Pairs>;
  using A = std::int32_t;  // a pair, the first tap in the lower half
  using B = std::int16_t;
  using Sum = hn::Vec<D>;
  static constexpr std::size_t kTogether = 2;

  explicit IntegerOp(const SumConstants& c)
      : unit(c.unit), b_scale(static_cast<float>(c.b_scale)) {}

  A PackRow(const double* taps) const {
    const auto low = static_cast<std::uint32_t>(static_cast<std::int32_t>(taps[0])) & 0xFFFF;
    const auto high = static_cast<std::uint32_t>(static_cast<std::int32_t>(taps[1]));
    return static_cast<A>(high << 16 | low);
  }
  HWY_INLINE void PackStep(const float* const* taps, std::size_t width, B* to) const {
    const D d;
    const hn::RebindToFloat<D> df;
    const auto scale = hn::Set(df, b_scale);
    const auto low_half = hn::Set(d, 0xFFFF);
    for (std::size_t j = 0; j < width; j += hn::Lanes(d)) {
      const auto low = hn::ConvertTo(d, hn::Mul(hn::LoadU(df, taps[0] + j), scale));
      const auto high = hn::ConvertTo(d, hn::Mul(hn::LoadU(df, taps[1] + j), scale));
      const auto pair = hn::Or(hn::And(low, low_half), hn::ShiftLeft<16>(high));
      hn::StoreU(hn::BitCast(Pairs(), pair), Pairs(), to + 2 * j);
    }
  }

  Sum Zero() const { return hn::Zero(D()); }
  V Load(const B* b) const { return hn::LoadU(Pairs(), b); }
  V Broadcast(A a) const { return hn::BitCast(Pairs(), hn::Set(D(), a)); }
  HWY_INLINE Sum Step(Sum s, V a, V b) const {
    Sum second = Zero();  // targets may leave some products there
    const Sum first = hn::ReorderWidenMulAccumulate(D(), a, b, Zero(), second);
    return hn::Add(s, hn::RearrangeToOddPlusEven(first, second));
  }
  HWY_INLINE void Store(Sum s, std::size_t, double* out) const {
    HWY_ALIGN std::int32_t lanes[HWY_MAX_BYTES / sizeof(std::int32_t)];
    hn::Store(s, D(), lanes);
    for (std::size_t i = 0; i < hn::Lanes(D()); ++i) out[i] = unit * lanes[i];
  }

  double unit;
  float b_scale;
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_INTEGER_SUM_INL_H_
