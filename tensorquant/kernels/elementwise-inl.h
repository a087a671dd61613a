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

// out = op(x), or op(x, y) with a second input, for all lanes. Tensors may be the same memory, at
// any alignment.
template <class T, class Op, class... In>
HWY_INLINE void ForEachVector(std::size_t count, T* out, const Op& op, const In*... in) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const auto a = op(hn::LoadU(d, in + i)...);
    const auto b = op(hn::LoadU(d, in + i + lanes)...);
    const auto c = op(hn::LoadU(d, in + i + 2 * lanes)...);
    const auto e = op(hn::LoadU(d, in + i + 3 * lanes)...);
    hn::StoreU(a, d, out + i);
    hn::StoreU(b, d, out + i + lanes);
    hn::StoreU(c, d, out + i + 2 * lanes);
    hn::StoreU(e, d, out + i + 3 * lanes);
  }
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(op(hn::LoadU(d, in + i)...), d, out + i);
  }
  if (i == count) return;
  const auto load_rest = [&](const T* from) {
    HWY_ALIGN T rest[HWY_MAX_BYTES / sizeof(T)] = {};
    std::copy(from + i, from + count, rest);
    return hn::Load(d, rest);
  };
  HWY_ALIGN T rest[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(op(load_rest(in)...), d, rest);
  std::copy(rest, rest + (count - i), out + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
