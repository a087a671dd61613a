// Loops over the vectors of a tensor. Compiled once a target.
#if defined(TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
#undef TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
#else
#define TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// What a kernel's op leaves undone: inputs so rare that a loop looks for them in four vectors at a
// time. occurs(d, four vectors) may be true without need; result(d, y, x) is the result for x,
// where op makes y of it, and does not count where x is NaN, which stays as it is: see Mended().
struct NothingSpecial {};

// NaN alone.
struct KeepsNan {
  template <class D, class V>
  HWY_INLINE bool occurs(D d, V x0, V x1, V x2, V x3) const {
    const V sum = hn::Add(hn::Add(x0, x1), hn::Add(x2, x3));
    return !hn::AllFalse(d, hn::IsNaN(sum));
  }
  template <class D, class V>
  HWY_INLINE V result(D, V y, V) const {
    return y;
  }
};

// Infinities are those that `result` is asked for.
template <class Result>
struct SpecialInfinities {
  template <class D, class V>
  HWY_INLINE bool occurs(D d, V x0, V x1, V x2, V x3) const {
    const V sum = hn::Add(hn::Add(x0, x1), hn::Add(x2, x3));
    return !hn::AllFalse(d, hn::IsNaN(hn::Sub(sum, sum)));
  }
  Result result;
};

// Magnitudes beyond `limit`, infinities and NaN are those that `result` is asked for.
template <class T, class Result>
struct SpecialBeyond {
  template <class D, class V>
  HWY_INLINE bool occurs(D, V x0, V x1, V x2, V x3) const {
    const hn::RebindToUnsigned<D> du;
    const auto bits = [&](V x) HWY_ATTR { return hn::BitCast(du, hn::Abs(x)); };
    const auto largest = hn::Max(hn::Max(bits(x0), bits(x1)), hn::Max(bits(x2), bits(x3)));
    return !hn::AllFalse(du, hn::Gt(largest, hn::Set(du, to_bits(limit))));
  }
  T limit;
  Result result;
};

template <class D, class Special, class V>
HWY_INLINE V Mended(D d, const Special& special, V y, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, special.result(d, y, x));
}

// A vector of the output, to an address that is aligned to a vector where stores are streaming.
template <Stores stores, class V, class D, class T>
HWY_INLINE void StoreVector(V v, D d, T* out) {
  if constexpr (stores == Stores::streaming) {
    hn::Stream(v, d, out);
  } else {
    hn::StoreU(v, d, out);
  }
}

// How many elements from `out` to the next address that is aligned to a vector of D.
template <class D, class T>
HWY_INLINE std::size_t ElementsToAlignment(D d, const T* out) {
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(out) / sizeof(T) % lanes;
  return (lanes - past) % lanes;
}

// Four vectors of results, from as many of inputs, to `out`.
template <Stores stores, class D, class T, class V, class Special>
HWY_INLINE void StoreFour(D d, V y0, V y1, V y2, V y3, V x0, V x1, V x2, V x3,
                          const Special& special, T* out) {
  if constexpr (!std::is_same_v<Special, NothingSpecial>) {
    if (HWY_UNLIKELY(special.occurs(d, x0, x1, x2, x3))) {
      y0 = Mended(d, special, y0, x0);
      y1 = Mended(d, special, y1, x1);
      y2 = Mended(d, special, y2, x2);
      y3 = Mended(d, special, y3, x3);
    }
  }
  const std::size_t lanes = hn::Lanes(d);
  StoreVector<stores>(y0, d, out);
  StoreVector<stores>(y1, d, out + lanes);
  StoreVector<stores>(y2, d, out + 2 * lanes);
  StoreVector<stores>(y3, d, out + 3 * lanes);
}

// out = op(x) for `count` elements, at most a vector, from and to the middle of one.
template <class D, class T, class Op, class Special>
HWY_INLINE void StoreSome(D d, std::size_t count, const T* x, const Special& special, T* out,
                          const Op& op) {
  HWY_ALIGN T values[HWY_MAX_BYTES / sizeof(T)] = {};
  std::copy_n(x, count, values);
  const auto v = hn::Load(d, values);
  auto y = op(v);
  if constexpr (!std::is_same_v<Special, NothingSpecial>) y = Mended(d, special, y, v);
  hn::Store(y, d, values);
  std::copy_n(values, count, out);
}

template <Stores stores, class T, class Special, class Op>
HWY_INLINE void ForEachVectorStored(const Part<T>& part, const Special& special, const Op& op) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const T* x = part.in;
  T* out = part.out;
  std::size_t i = 0;
  if constexpr (stores == Stores::streaming) {
    i = std::min(part.count, ElementsToAlignment(d, out));
    StoreSome(d, i, x, special, out, op);
  }
  for (; i + 4 * lanes <= part.count; i += 4 * lanes) {
    const auto x0 = hn::LoadU(d, x + i);
    const auto x1 = hn::LoadU(d, x + i + lanes);
    const auto x2 = hn::LoadU(d, x + i + 2 * lanes);
    const auto x3 = hn::LoadU(d, x + i + 3 * lanes);
    StoreFour<stores>(d, op(x0), op(x1), op(x2), op(x3), x0, x1, x2, x3, special, out + i);
  }
  for (; i < part.count; i += lanes) {
    StoreSome(d, std::min(lanes, part.count - i), x + i, special, out + i, op);
  }
  if constexpr (stores == Stores::streaming) hwy::FlushStream();  // for readers on other threads
}

// part.out = op(x) for all vectors x of part.in. Both may be the same memory, at any alignment.
template <class T, class Special, class Op>
HWY_INLINE void ForEachVector(const Part<T>& part, const Special& special, const Op& op) {
  if (part.stores == Stores::streaming) {
    ForEachVectorStored<Stores::streaming>(part, special, op);
  } else {
    ForEachVectorStored<Stores::cached>(part, special, op);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
