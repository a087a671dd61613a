#include "tensorquant/kernels/blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/blocks.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <variant>

#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/extremes-inl.h"
#include "tensorquant/kernels/rounding-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_HAVE_SCALABLE || HWY_TARGET == HWY_SCALAR
template <class T>
std::size_t RunFormat(const ElementFormat&, const PowerOfTwoRule&, const Blocks<T>&) {
  return 0;
}
#else
template <class T>
inline constexpr int kStoredBits = std::numeric_limits<T>::digits - 1;
template <class T>
inline constexpr int kBias = std::numeric_limits<T>::max_exponent - 1;

// What the rounding of a group's elements takes: two numbers a group.
template <class V>
struct OfGroups {
  V first, second;
};

// The exponents of scales with which a rounding below, and all that it computes, stays normal.
struct ScaleExponents {
  int lowest, highest;
};

// What all values and steps of a float are multiplied by, 2^e, goes into the rounding of the number
// as it is: into the exponent below which steps grow no shorter, and into the largest value.
template <class T>
class FloatingPointBlocks {
 public:
  using D = hn::ScalableTag<T>;
  using DI = BitsTag<D>;
  using V = hn::Vec<D>;
  using I = hn::TFromD<DI>;

  explicit FloatingPointBlocks(const FloatingPoint& format)
      : step_shift_(static_cast<I>(format.significand_bits) << kStoredBits<T>),
        inverse_sum_(
            static_cast<I>((U{2 * kBias<T>} << kStoredBits<T>)+static_cast<U>(step_shift_))),
        min_exponent_(static_cast<T>(std::ldexp(1.0, format.min_exponent()))),
        largest_(static_cast<T>(format.largest())),
        exponents_{.lowest = 1 - kBias<T> - format.last_bit(),
                   .highest = kBias<T> - 1 - format.max_exponent()} {}

  ScaleExponents exponents() const { return exponents_; }

  // The smallest normal number and the largest of each group.
  HWY_INLINE OfGroups<V> Of(D d, V scale) const {
    return {hn::Mul(scale, hn::Set(d, min_exponent_)), hn::Mul(scale, hn::Set(d, largest_))};
  }

  HWY_INLINE V operator()(D d, V x, const OfGroups<V>& group) const {
    const DI di;
    const auto exponent_mask = hn::Set(di, to_bits(std::numeric_limits<T>::infinity()));
    const auto power =
        hn::Max(hn::And(hn::BitCast(di, x), exponent_mask), hn::BitCast(di, group.first));
    const V step = hn::BitCast(d, hn::Sub(power, hn::Set(di, step_shift_)));
    const auto inverse_sum = hn::Set(di, inverse_sum_);
    const V inverse_step = hn::BitCast(d, hn::Sub(inverse_sum, power));
    const V rounded = hn::Round(hn::Mul(x, inverse_step));
    const V y = hn::Mul(kRoundingKeepsSign ? rounded : hn::CopySign(rounded, x), step);
    return hn::Max(hn::Min(y, group.second), hn::Neg(group.second));
  }

 private:
  using U = std::make_unsigned_t<I>;

  // The exponent fields of 2^e and 2^-e add up to twice the bias. The sum may be one of the sign's
  // bit: what is subtracted from it brings it back.
  I step_shift_, inverse_sum_;
  T min_exponent_, largest_;
  ScaleExponents exponents_;
};

// Integers k of k * 2^(e - fraction).
template <class T>
class FixedPointBlocks {
 public:
  using D = hn::ScalableTag<T>;
  using DI = BitsTag<D>;
  using V = hn::Vec<D>;
  using I = hn::TFromD<DI>;

  explicit FixedPointBlocks(const FixedPoint& format)
      : unit_(static_cast<T>(std::ldexp(1.0, -format.fraction))),
        lowest_(truncate_to<T>(format.lowest_integer())),
        highest_(truncate_to<T>(format.highest_integer())),
        exponents_{.lowest = format.fraction + 1 - kBias<T>,
                   .highest = std::min(format.fraction + kBias<T> - 1,
                                       kBias<T> - 1 - format.bits + format.fraction)} {}

  ScaleExponents exponents() const { return exponents_; }

  // The inverse of the step, and the step.
  HWY_INLINE OfGroups<V> Of(D d, V scale) const {
    const DI di;
    const V step = hn::Mul(scale, hn::Set(d, unit_));
    const auto inverse_sum = hn::Set(di, I{2 * kBias<T>} << kStoredBits<T>);
    return {hn::BitCast(d, hn::Sub(inverse_sum, hn::BitCast(di, step))), step};
  }

  HWY_INLINE V operator()(D d, V x, const OfGroups<V>& group) const {
    const V k = hn::Round(hn::Mul(x, group.first));
    const V in_range = hn::Max(hn::Min(k, hn::Set(d, highest_)), hn::Set(d, lowest_));
    return hn::MulAdd(in_range, group.second, hn::Zero(d));  // exact; -0 + 0 = +0
  }

 private:
  T unit_, lowest_, highest_;
  ScaleExponents exponents_;
};

// From the largest magnitudes of a vector of groups to their scales.
template <class T>
class PowersOfTwoOfBlocks {
 public:
  using D = hn::ScalableTag<T>;
  using DI = BitsTag<D>;
  using I = hn::TFromD<DI>;

  PowersOfTwoOfBlocks(const PowerOfTwoRule& rule, ScaleExponents exponents)
      : rise_((I{1} << kStoredBits<T>)-static_cast<I>(
            std::ceil(std::ldexp(rule.threshold - 1, kStoredBits<T>)))),
        exponent_(static_cast<I>(rule.exponent) * (I{1} << kStoredBits<T>)) {
    constexpr int kEnd = std::min(kMaxScaleExponent, kBias<T> - 1);
    const int highest = std::min({exponents.highest, kEnd, kBias<T> - rule.exponent});
    // A number that is raised to the second exponent field is not subnormal. There may be none.
    const int lowest =
        std::min(highest + 1, std::max({exponents.lowest, -kEnd, 2 - kBias<T> - rule.exponent}));
    lowest_ = static_cast<I>(lowest + kBias<T> + rule.exponent) * (I{1} << kStoredBits<T>);
    highest_ = static_cast<I>(highest + 1 + kBias<T> + rule.exponent) * (I{1} << kStoredBits<T>)-1;
  }

  // 2^e of groups that are not usual has no meaning. Zeros stay zeros with every scale.
  struct Scales {
    hn::Vec<D> scale;
    bool are_usual;
  };
  HWY_INLINE Scales Of(D d, hn::Vec<DI> magnitudes) const {
    const DI di;
    const auto is_zero = hn::Eq(magnitudes, hn::Zero(di));
    const auto raised =
        hn::IfThenElse(is_zero, hn::Set(di, lowest_), hn::Add(magnitudes, hn::Set(di, rise_)));
    const auto is_outside =
        hn::Or(hn::Lt(raised, hn::Set(di, lowest_)), hn::Gt(raised, hn::Set(di, highest_)));
    const auto field = hn::And(raised, hn::Set(di, to_bits(std::numeric_limits<T>::infinity())));
    return {hn::BitCast(d, hn::Sub(field, hn::Set(di, exponent_))), hn::AllFalse(di, is_outside)};
  }

 private:
  I rise_, exponent_, lowest_, highest_;
};

// As many groups at a time as a vector has lanes, of `known` elements where that is not 0.
template <std::size_t known, Stores stores, class T, class Rounding>
std::size_t RunRuns(const PowersOfTwoOfBlocks<T>& powers, const Rounding& round,
                    const Blocks<T>& blocks) {
  const hn::ScalableTag<T> d;
  constexpr std::size_t kLanes = HWY_LANES(T);
  const std::size_t length = known > 0 ? known : blocks.length;
  HWY_ALIGN T first[kLanes], second[kLanes];
  for (std::size_t g = 0; g + kLanes <= blocks.groups; g += kLanes) {
    const T* x = blocks.in + g * length;
    T* out = blocks.out + g * length;
    const auto scales = powers.Of(d, MaximaOfRuns<kLanes>(d, x, length));
    if (!scales.are_usual) return g;
    const auto numbers = round.Of(d, scales.scale);
    hn::Store(numbers.first, d, first);
    hn::Store(numbers.second, d, second);
    for (std::size_t j = 0; j < kLanes; ++j, x += length, out += length) {
      const decltype(numbers) group = {hn::Set(d, first[j]), hn::Set(d, second[j])};
      for (std::size_t i = 0; i < length; i += kLanes) {
        if constexpr (stores == Stores::streaming) hwy::Prefetch(x + i + kPartFetchedAhead);
        StoreVector<stores>(round(d, hn::LoadU(d, x + i), group), d, out + i);
      }
    }
  }
  return blocks.groups / kLanes * kLanes;
}

// The largest magnitudes of groups side by side, which are whole vectors. Four rows at a time: that
// is as many walks through memory as a processor foresees, and fewer turns of `largest`.
template <class T>
void MaximaOfColumns(const Blocks<T>& blocks, std::size_t first, std::size_t count,
                     hn::TFromD<BitsTag<hn::ScalableTag<T> > >* HWY_RESTRICT largest) {
  const hn::ScalableTag<T> d;
  const BitsTag<decltype(d)> di;
  constexpr std::size_t kLanes = HWY_LANES(T), kRows = 4;
  for (std::size_t row = 0; row < blocks.length; row += kRows) {
    const T* x[kRows];  // of the last rows some may be the same
    for (std::size_t r = 0; r < kRows; ++r) {
      x[r] = blocks.in + std::min(row + r, blocks.length - 1) * blocks.stride + first;
    }
    for (std::size_t i = 0; i < count; i += kLanes) {
      const auto magnitudes = [&](std::size_t r) {
        return MagnitudeBits(d, hn::LoadU(d, x[r] + i));
      };
      auto most =
          hn::Max(hn::Max(magnitudes(0), magnitudes(1)), hn::Max(magnitudes(2), magnitudes(3)));
      if (row > 0) most = hn::Max(most, hn::Load(di, largest + i));
      hn::Store(most, di, largest + i);
    }
  }
}

// Groups side by side, of which one row after the other is read as it lies in memory.
template <Stores stores, class T, class Rounding>
std::size_t RunColumns(const PowersOfTwoOfBlocks<T>& powers, const Rounding& round,
                       const Blocks<T>& blocks) {
  const hn::ScalableTag<T> d;
  const BitsTag<decltype(d)> di;
  constexpr std::size_t kLanes = HWY_LANES(T), kMost = 1024;
  HWY_ALIGN hn::TFromD<decltype(di)> largest[kMost];
  HWY_ALIGN T first[kMost], second[kMost];
  const std::size_t whole = blocks.groups / kLanes * kLanes;
  for (std::size_t g = 0; g < whole; g += kMost) {
    const std::size_t count = std::min(kMost, whole - g);
    MaximaOfColumns(blocks, g, count, largest);
    for (std::size_t i = 0; i < count; i += kLanes) {
      const auto scales = powers.Of(d, hn::Load(di, largest + i));
      if (!scales.are_usual) return g;
      const auto numbers = round.Of(d, scales.scale);
      hn::Store(numbers.first, d, first + i);
      hn::Store(numbers.second, d, second + i);
    }
    const auto ahead = static_cast<std::ptrdiff_t>(g + count < whole ? count : blocks.next - g);
    for (std::size_t row = 0; row < blocks.length; ++row) {
      const T* const x = blocks.in + row * blocks.stride + g;
      T* const out = blocks.out + row * blocks.stride + g;
      for (std::size_t i = 0; i < count; i += kLanes) {
        if constexpr (stores == Stores::streaming) hwy::Prefetch(x + i + ahead);
        const OfGroups<hn::Vec<decltype(d)> > group = {hn::Load(d, first + i),
                                                       hn::Load(d, second + i)};
        StoreVector<stores>(round(d, hn::LoadU(d, x + i), group), d, out + i);
      }
    }
  }
  return whole;
}

template <Stores stores, class T, class Rounding>
std::size_t RunStored(const PowersOfTwoOfBlocks<T>& powers, const Rounding& round,
                      const Blocks<T>& blocks) {
  if (blocks.stride > 1) return RunColumns<stores>(powers, round, blocks);
  switch (blocks.length) {  // those of the formats that have names
    case 16:
      return RunRuns<16, stores>(powers, round, blocks);
    case 32:
      return RunRuns<32, stores>(powers, round, blocks);
    default:
      return RunRuns<0, stores>(powers, round, blocks);
  }
}

template <class T, class Rounding>
std::size_t RunBlocks(const PowerOfTwoRule& rule, const Rounding& round, const Blocks<T>& blocks) {
  const bool are_runs = blocks.stride == 1;
  const std::size_t step = are_runs ? blocks.length : blocks.stride;  // from vector to vector
  const bool are_whole = step % HWY_LANES(T) == 0;
  if (are_runs && !are_whole) return 0;
  const PowersOfTwoOfBlocks<T> powers(rule, round.exponents());
  if (blocks.stores == Stores::cached) return RunStored<Stores::cached>(powers, round, blocks);
  if (!are_whole || ElementsToAlignment(hn::ScalableTag<T>(), blocks.out) != 0) return 0;
  const std::size_t done = RunStored<Stores::streaming>(powers, round, blocks);
  hwy::FlushStream();  // for readers on other threads
  return done;
}

template <class T>
std::size_t RunFormat(const ElementFormat& element, const PowerOfTwoRule& rule,
                      const Blocks<T>& blocks) {
  if (const auto* f = std::get_if<FloatingPoint>(&element)) {
    const bool is_even = f->rounding == Rounding::even;
    if (is_even && f->saturates() && f->has_negative_zero()) {
      return RunBlocks(rule, FloatingPointBlocks<T>(*f), blocks);
    }
  }
  if (const auto* f = std::get_if<FixedPoint>(&element)) {
    if (f->rounding == Rounding::even && f->saturates()) {
      return RunBlocks(rule, FixedPointBlocks<T>(*f), blocks);
    }
  }
  return 0;
}
#endif

std::size_t Blocks32(const ElementFormat& element, const PowerOfTwoRule& rule,
                     const Blocks<float>& blocks) {
  return RunFormat(element, rule, blocks);
}
std::size_t Blocks64(const ElementFormat& element, const PowerOfTwoRule& rule,
                     const Blocks<double>& blocks) {
  return RunFormat(element, rule, blocks);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(Blocks32);
HWY_EXPORT(Blocks64);

std::size_t quantize_blocks(const ElementFormat& element, const PowerOfTwoRule& rule,
                            const Blocks<float>& blocks) {
  return HWY_DYNAMIC_DISPATCH(Blocks32)(element, rule, blocks);
}
std::size_t quantize_blocks(const ElementFormat& element, const PowerOfTwoRule& rule,
                            const Blocks<double>& blocks) {
  return HWY_DYNAMIC_DISPATCH(Blocks64)(element, rule, blocks);
}

}  // namespace tensorquant
#endif  // HWY_ONCE
