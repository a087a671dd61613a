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

#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// y where x is a number, x itself where it is NaN.
template <class V>
HWY_INLINE V KeepNan(V y, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, y);
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

template <bool keeps_nan, Stores stores, class T, class Op, class... In>
HWY_INLINE void ForEachVectorStored(const Part<T>& part, const Op& op, const In*... in) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  // At most a vector, from and to the middle of one.
  const auto finish = [&](std::size_t begin, std::size_t count) HWY_ATTR {
    const auto load = [&](const T* from) HWY_ATTR {
      HWY_ALIGN T values[HWY_MAX_BYTES / sizeof(T)] = {};
      std::copy_n(from + begin, count, values);
      return hn::Load(d, values);
    };
    const auto x = load(part.in);
    const auto y = op(x, load(in)...);
    HWY_ALIGN T values[HWY_MAX_BYTES / sizeof(T)];
    hn::Store(keeps_nan ? KeepNan(y, x) : y, d, values);
    std::copy_n(values, count, part.out + begin);
  };
  std::size_t i = 0;
  if constexpr (stores == Stores::streaming) {
    i = std::min(part.count, ElementsToAlignment(d, part.out));
    finish(0, i);
  }
  const T* x = part.in;
  T* out = part.out;
  for (; i + 4 * lanes <= part.count; i += 4 * lanes) {
    const auto xa = hn::LoadU(d, x + i);
    const auto xb = hn::LoadU(d, x + i + lanes);
    const auto xc = hn::LoadU(d, x + i + 2 * lanes);
    const auto xe = hn::LoadU(d, x + i + 3 * lanes);
    auto a = op(xa, hn::LoadU(d, in + i)...);
    auto b = op(xb, hn::LoadU(d, in + i + lanes)...);
    auto c = op(xc, hn::LoadU(d, in + i + 2 * lanes)...);
    auto e = op(xe, hn::LoadU(d, in + i + 3 * lanes)...);
    if constexpr (keeps_nan) {
      // A NaN makes the sum NaN, and is rare; infinities may do so too, which costs time alone.
      const auto sum = hn::Add(hn::Add(xa, xb), hn::Add(xc, xe));
      if (HWY_UNLIKELY(!hn::AllFalse(d, hn::IsNaN(sum)))) {
        a = KeepNan(a, xa);
        b = KeepNan(b, xb);
        c = KeepNan(c, xc);
        e = KeepNan(e, xe);
      }
    }
    StoreVector<stores>(a, d, out + i);
    StoreVector<stores>(b, d, out + i + lanes);
    StoreVector<stores>(c, d, out + i + 2 * lanes);
    StoreVector<stores>(e, d, out + i + 3 * lanes);
  }
  for (; i < part.count; i += lanes) finish(i, std::min(lanes, part.count - i));
  if constexpr (stores == Stores::streaming) hwy::FlushStream();  // for readers on other threads
}

// part.out = op(x), or op(x, y) with a second input, for all lanes; where x, an element of part.in,
// is NaN, the output is that NaN if keeps_nan, whatever op makes of it. Tensors may be the same
// memory, at any alignment.
template <bool keeps_nan, class T, class Op, class... In>
HWY_INLINE void ForEachVector(const Part<T>& part, const Op& op, const In*... in) {
  if (part.stores == Stores::streaming) {
    ForEachVectorStored<keeps_nan, Stores::streaming>(part, op, in...);
  } else {
    ForEachVectorStored<keeps_nan, Stores::cached>(part, op, in...);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
