// The largest magnitudes of groups, and their ends. Compiled once a target.
#if defined(TENSORQUANT_KERNELS_EXTREMES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_KERNELS_EXTREMES_INL_H_
#undef TENSORQUANT_KERNELS_EXTREMES_INL_H_
#else
#define TENSORQUANT_KERNELS_EXTREMES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

#include "tensorquant/kernels/elementwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Bits of magnitudes are compared as signed integers, for which more instruction sets have a
// maximum.
template <class D>
using BitsTag = hn::RebindToSigned<D>;
template <class D>
using BitsVec = hn::Vec<BitsTag<D>>;

template <class D, class V = hn::Vec<D>>
HWY_INLINE BitsVec<D> MagnitudeBits(D, V x) {
  return hn::BitCast(BitsTag<D>(), hn::Abs(x));
}

// What is known of the elements that a vector of groups, or of parts of one group, has had so far.
template <bool has_range, class D>
struct Seen {
  using V = hn::Vec<D>;
  explicit HWY_INLINE Seen(D d)
      : magnitudes(hn::Zero(BitsTag<D>())), lowest(hn::Zero(d)), highest(hn::Zero(d)) {}
  HWY_INLINE void Add(D d, V x) {
    magnitudes = hn::Max(magnitudes, MagnitudeBits(d, x));
    if constexpr (has_range) {
      lowest = hn::Min(lowest, x);
      highest = hn::Max(highest, x);
    }
  }
  HWY_INLINE void Add(const Seen& other) {
    magnitudes = hn::Max(magnitudes, other.magnitudes);
    if constexpr (has_range) {
      lowest = hn::Min(lowest, other.lowest);
      highest = hn::Max(highest, other.highest);
    }
  }
  BitsVec<D> magnitudes;
  V lowest, highest;
};

template <bool has_range, class D, class T>
HWY_INLINE Seen<has_range, D> SeenInRun(D d, const T* x, std::size_t length) {
  const std::size_t lanes = hn::Lanes(d);
  Seen<has_range, D> first(d);
  std::size_t i = 0;
  if (length >= 4 * lanes) {
    Seen<has_range, D> second(d), third(d), fourth(d);
    for (; i + 4 * lanes <= length; i += 4 * lanes) {
      first.Add(d, hn::LoadU(d, x + i));
      second.Add(d, hn::LoadU(d, x + i + lanes));
      third.Add(d, hn::LoadU(d, x + i + 2 * lanes));
      fourth.Add(d, hn::LoadU(d, x + i + 3 * lanes));
    }
    third.Add(fourth);
    first.Add(second);
    first.Add(third);
  }
  for (; i + lanes <= length; i += lanes) first.Add(d, hn::LoadU(d, x + i));
  // To see an element twice changes nothing.
  if (i < length) {
    first.Add(d, length >= lanes ? hn::LoadU(d, x + length - lanes) : LoadSome(d, x, length));
  }
  return first;
}

// The targets whose vectors have several lanes, a number that the compiler knows.
#if !HWY_HAVE_SCALABLE && HWY_TARGET != HWY_SCALAR
// Neighbours of a, and then of b, compared.
template <class D, class V = BitsVec<D>>
HWY_INLINE V MaxOfNeighbours(D, V a, V b) {
  const BitsTag<D> di;
  return hn::Max(hn::ConcatEven(di, b, a), hn::ConcatOdd(di, b, a));
}

// The largest magnitudes of `groups` groups, a power of two, each of as many neighbouring lanes.
template <std::size_t groups, class D, class T>
HWY_INLINE BitsVec<D> MaximaOfRuns(D d, const T* x, std::size_t length) {
  if constexpr (groups == 1) {
    return SeenInRun<false>(d, x, length).magnitudes;
  } else {
    // In this order, in which the processor fetches ahead.
    const auto first = MaximaOfRuns<groups / 2>(d, x, length);
    const auto second = MaximaOfRuns<groups / 2>(d, x + groups / 2 * length, length);
    return MaxOfNeighbours(d, first, second);
  }
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_EXTREMES_INL_H_
