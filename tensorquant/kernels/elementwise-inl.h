// Loops over the vectors of a tensor. Compiled once a target.
#if defined(TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
#undef TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
#else
#define TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// y where x is a number, x itself where it is NaN.
template <class V>
HWY_INLINE V KeepNan(V y, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

// out = op(x), or op(x, y) with a second input, for all lanes; where the first input is NaN, out is
// that NaN if keeps_nan, whatever op makes of it. Tensors may be the same memory, at any alignment.
template <bool keeps_nan, class T, class Op, class... In>
HWY_INLINE void ForEachVector(std::size_t count, T* out, const Op& op, const T* x,
                              const In*... in) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
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
    hn::StoreU(a, d, out + i);
    hn::StoreU(b, d, out + i + lanes);
    hn::StoreU(c, d, out + i + 2 * lanes);
    hn::StoreU(e, d, out + i + 3 * lanes);
  }
  const auto finish = [&](auto first, auto... others) HWY_ATTR {
    const auto y = op(first, others...);
    if constexpr (keeps_nan) return KeepNan(y, first);
    return y;
  };
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(finish(hn::LoadU(d, x + i), hn::LoadU(d, in + i)...), d, out + i);
  }
  if (i == count) return;
  const auto load_rest = [&](const T* from) {
    HWY_ALIGN T rest[HWY_MAX_BYTES / sizeof(T)] = {};
    std::copy(from + i, from + count, rest);
    return hn::Load(d, rest);
  };
  HWY_ALIGN T rest[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(finish(load_rest(x), load_rest(in)...), d, rest);
  std::copy(rest, rest + (count - i), out + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
