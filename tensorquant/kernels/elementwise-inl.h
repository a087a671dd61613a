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
#include <functional>
#include <limits>
#include <type_traits>

#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// What a kernel's op leaves undone: inputs so rare that a loop looks for them in four vectors at a
// time, where scales are fused in one. occurs(d, vectors) may be true without need; result(d, y, x)
// is the result for x, where op makes y of it, and does not count where x is NaN, which stays as it
// is: see Mended().
struct NothingSpecial {};

// NaN alone.
struct KeepsNan {
  template <class D, class V>
  HWY_INLINE bool occurs(D d, V x0, V x1, V x2, V x3) const {
    const V sum = hn::Add(hn::Add(x0, x1), hn::Add(x2, x3));
    return !hn::AllFalse(d, hn::IsNaN(sum));
  }
  template <class D, class V>
  HWY_INLINE bool occurs(D d, V x) const {
    return !hn::AllFalse(d, hn::IsNaN(x));
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
    return occurs(d, sum);
  }
  template <class D, class V>
  HWY_INLINE bool occurs(D d, V x) const {
    return !hn::AllFalse(d, hn::IsNaN(hn::Sub(x, x)));
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

// Not inlined: it serves parts with and without scales. The op is a copy, whose numbers no store
// can change.
template <Stores stores, class T, class Special, class Op>
HWY_NOINLINE void ForEachVectorStored(const Part<T>& part, const Special special, const Op op) {
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

// Less than a vector; the other lanes are zero.
template <class D, class T>
HWY_INLINE hn::Vec<D> LoadSome(D d, const T* from, std::size_t count) {
  HWY_ALIGN T values[HWY_MAX_BYTES / sizeof(T)] = {};
  std::copy_n(from, count, values);
  return hn::Load(d, values);
}
template <class V, class D, class T>
HWY_INLINE void StoreSomeOf(V v, D d, T* to, std::size_t count) {
  HWY_ALIGN T values[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(v, d, values);
  std::copy_n(values, count, to);
}

// The numbers of one of PartScales' arrays that belong to a vector: one for each lane, or one for
// all.
template <class D, class T>
HWY_INLINE hn::Vec<D> ScalesOfVector(D d, const T* values, bool own) {
  return own ? hn::LoadU(d, values) : hn::Set(d, *values);
}

// What comes before the element format, and behind it, for a vector whose scales are number `at`,
// or begin with it; Limited() and WithoutOverflow() where there are limits, or may be overflow.
template <class D, class T, class V = hn::Vec<D>>
HWY_INLINE V ScaledDown(D d, V x, const PartScales<T>& scales, std::size_t at, bool own) {
  const V before = ScalesOfVector(d, scales.before + at, own);
  return scales.multiplies ? hn::Mul(x, before) : hn::Div(x, before);
}
template <class D, class T, class V = hn::Vec<D>>
HWY_INLINE V Limited(D d, V t, const PartScales<T>& scales, std::size_t at, bool own) {
  if (scales.lowest == nullptr) return t;
  return hn::Min(hn::Max(t, ScalesOfVector(d, scales.lowest + at, own)),
                 ScalesOfVector(d, scales.highest + at, own));
}
template <class D, class T, class V = hn::Vec<D>>
HWY_INLINE V ScaledUp(D d, V q, const PartScales<T>& scales, std::size_t at, bool own) {
  return hn::Mul(q, ScalesOfVector(d, scales.behind + at, own));
}
template <class D, class T, class V = hn::Vec<D>>
HWY_INLINE V WithoutOverflow(D d, V y, V q, const PartScales<T>& scales) {
  if (!scales.may_overflow) return y;
  const V largest = hn::CopySign(hn::Set(d, std::numeric_limits<T>::max()), y);
  return hn::IfThenElse(hn::AndNot(hn::IsInf(q), hn::IsInf(y)), largest, y);
}
template <class D, class T, class V = hn::Vec<D>>
HWY_INLINE V WithNanOf(D d, V y, V x, const PartScales<T>& scales) {
  const V nan = scales.keeps_nan ? x : hn::Set(d, std::numeric_limits<T>::quiet_NaN());
  return hn::IfThenElse(hn::IsNaN(x), nan, y);
}

// Which number of the scales a vector has, or begins with: `run` vectors share one; with 0 all
// share the first, with `own` each element has its own.
class ScaleNumber {
 public:
  HWY_INLINE ScaleNumber(std::size_t lanes, std::size_t run, bool own)
      : step_(own ? lanes : 0), run_(run), left_(run) {}
  HWY_INLINE std::size_t get() const { return number_; }
  HWY_INLINE std::size_t next() {
    number_ += step_;
    if (--left_ == 0) {
      left_ = run_;
      ++number_;
    }
    return number_;
  }

 private:
  std::size_t step_, run_, left_, number_ = 0;
};

// Of a tensor larger than the caches short parts are read for their scales first, so that here they
// are in the cache: the time for the next one's way from memory, which begins so many elements on.
inline constexpr std::size_t kPartFetchedAhead = 4096;

// Whole vectors of ForEachScaledVector(). Not inlined, so that the op is there only twice.
template <class D, class T, class Special, class Op>
HWY_NOINLINE void RunScaledVectors(D d, const T* x, std::size_t count, const PartScales<T> scales,
                                   std::size_t run, bool own, bool streams, const Special special,
                                   const Op op, T* out) {
  const std::size_t lanes = hn::Lanes(d);
  const bool has_limits = scales.lowest != nullptr;
  ScaleNumber at(lanes, run, own);
  for (std::size_t i = 0; i < count; i += 2 * lanes) {
    const bool is_last = i + lanes == count;  // then it is both vectors
    const std::size_t second = is_last ? i : i + lanes;
    const std::size_t at0 = at.get(), at1 = is_last ? at0 : at.next();
    if (streams && !own) {
      hwy::Prefetch(x + i + kPartFetchedAhead);
      hwy::Prefetch(x + second + kPartFetchedAhead);
    }
    const auto x0 = hn::LoadU(d, x + i), x1 = hn::LoadU(d, x + second);
    auto t0 = ScaledDown(d, x0, scales, at0, own), t1 = ScaledDown(d, x1, scales, at1, own);
    if (HWY_UNLIKELY(has_limits)) {
      t0 = Limited(d, t0, scales, at0, own);
      t1 = Limited(d, t1, scales, at1, own);
    }
    auto q0 = op(t0), q1 = op(t1);
    // A limit may have taken NaN's place.
    const bool is_special = has_limits || special.occurs(d, t0) || special.occurs(d, t1);
    if (HWY_UNLIKELY(is_special)) {
      q0 = Mended(d, special, q0, t0);
      q1 = Mended(d, special, q1, t1);
    }
    auto y0 = ScaledUp(d, q0, scales, at0, own), y1 = ScaledUp(d, q1, scales, at1, own);
    if (HWY_UNLIKELY(is_special || scales.may_overflow)) {
      y0 = WithNanOf(d, WithoutOverflow(d, y0, q0, scales), x0, scales);
      y1 = WithNanOf(d, WithoutOverflow(d, y1, q1, scales), x1, scales);
    }
    if (streams) {
      hn::Stream(y0, d, out + i);
      hn::Stream(y1, d, out + second);
    } else {
      hn::StoreU(y0, d, out + i);
      hn::StoreU(y1, d, out + second);
    }
    at.next();
  }
}

// The same in three loops over pieces that stay in the cache: before the kernel, the kernel as it
// is for parts without scales, and behind it.
template <class D, class T>
void RunScaledPieces(D d, const T* x, std::size_t count, const PartScales<T>& scales,
                     std::size_t run, bool own, bool streams,
                     const std::function<void(const Part<T>&)>& kernel, T* out) {
  constexpr std::size_t kPiece = 1024;  // whole vectors
  HWY_ALIGN T numbers[kPiece];
  const std::size_t lanes = hn::Lanes(d);
  ScaleNumber down(lanes, run, own), up = down;
  for (std::size_t begin = 0; begin < count; begin += kPiece) {
    const std::size_t length = std::min(kPiece, count - begin);
    for (std::size_t i = 0; i < length; i += lanes, down.next()) {
      const auto t = ScaledDown(d, hn::LoadU(d, x + begin + i), scales, down.get(), own);
      hn::Store(Limited(d, t, scales, down.get(), own), d, numbers + i);
    }
    kernel({numbers, numbers, length, 0, Stores::cached});
    for (std::size_t i = 0; i < length; i += lanes, up.next()) {
      const auto q = hn::Load(d, numbers + i);
      const auto y = WithoutOverflow(d, ScaledUp(d, q, scales, up.get(), own), q, scales);
      const auto result = WithNanOf(d, y, hn::LoadU(d, x + begin + i), scales);
      if (streams) {
        hn::Stream(result, d, out + begin + i);
      } else {
        hn::StoreU(result, d, out + begin + i);
      }
    }
  }
}

// RunScaledVectors() or RunScaledPieces().
template <class T>
using ScaledVectors = std::function<void(const T* x, std::size_t count, const PartScales<T>& scales,
                                         std::size_t run, bool own, bool streams, T* out)>;

// At most a vector.
template <class T>
void RunSomeScaled(const T* x, std::size_t count, PartScales<T> scales, bool own,
                   const ScaledVectors<T>& run_vectors, T* out) {
  HWY_ALIGN T numbers[5][HWY_MAX_BYTES / sizeof(T)] = {};
  const auto copy = [&](const T* from, T* to) {
    std::copy_n(from, count, to);
    return to;
  };
  if (own) {
    scales.before = copy(scales.before, numbers[1]);
    scales.behind = copy(scales.behind, numbers[2]);
    if (scales.lowest != nullptr) scales.lowest = copy(scales.lowest, numbers[3]);
    if (scales.highest != nullptr) scales.highest = copy(scales.highest, numbers[4]);
  }
  copy(x, numbers[0]);
  run_vectors(numbers[0], hn::Lanes(hn::ScalableTag<T>()), scales, 0, own, false, numbers[0]);
  std::copy_n(numbers[0], count, out);
}

template <class T>
void RunScaledRow(const T* x, std::size_t count, const PartScales<T>& scales, std::size_t run,
                  bool own, bool streams, const ScaledVectors<T>& run_vectors, T* out) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t head = streams ? std::min(count, ElementsToAlignment(d, out)) : 0;
  const std::size_t whole = (count - head) / lanes * lanes, tail = count - head - whole;
  const auto scales_at = [&](std::size_t i) {
    return scales.behind_first(own ? i : run == 0 ? 0 : i / (run * lanes));
  };
  if (head > 0) RunSomeScaled(x, head, scales, own, run_vectors, out);
  run_vectors(x + head, whole, scales_at(head), run, own, streams, out + head);
  if (tail > 0) {
    const std::size_t i = head + whole;
    RunSomeScaled(x + i, tail, scales_at(i), own, run_vectors, out + i);
  }
}

template <class T>
void ForEachScaledRow(const Part<T>& part, const ScaledVectors<T>& run_vectors) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const PartScales<T>& scales = *part.scales;
  const bool streams = part.stores == Stores::streaming;
  const bool own = scales.run == 1;
  // Runs begin with vectors, or each is a row of its own.
  const bool are_whole_vectors =
      scales.run % lanes == 0 && (!streams || ElementsToAlignment(d, part.out) == 0);
  const std::size_t length = own || are_whole_vectors ? part.count : scales.run;
  const std::size_t run = own || !are_whole_vectors ? 0 : scales.run / lanes;
  for (std::size_t row = 0; row < scales.rows; ++row) {
    for (std::size_t i = 0; i < part.count; i += length) {
      const std::size_t place = row * scales.stride + i;
      RunScaledRow(part.in + place, std::min(length, part.count - i),
                   scales.behind_first(own ? 0 : i / scales.run), run, own, streams, run_vectors,
                   part.out + place);
    }
  }
  if (streams) hwy::FlushStream();  // for readers on other threads
}

template <bool fuses, class T, class Special, class Op>
HWY_INLINE void ForEachScaledVector(const Part<T>& part, const Special& special, const Op& op) {
  ForEachScaledRow<T>(part, [&](const T* x, std::size_t count, const PartScales<T>& scales,
                                std::size_t run, bool own, bool streams, T* out) {
    const hn::ScalableTag<T> d;
    if constexpr (fuses) {
      RunScaledVectors(d, x, count, scales, run, own, streams, special, op, out);
    } else {
      const auto kernel = [&](const Part<T>& piece) {
        ForEachVectorStored<Stores::cached>(piece, special, op);
      };
      RunScaledPieces<decltype(d), T>(d, x, count, scales, run, own, streams, kernel, out);
    }
  });
}

// part.out = op(x) for all vectors x of part.in, with the part's scales around it. Both may be the
// same memory, at any alignment. `fuses`: scales have a loop of their own, for what they are used
// with most; not with NothingSpecial.
template <bool fuses = false, class T, class Special, class Op>
HWY_INLINE void ForEachVector(const Part<T>& part, const Special& special, const Op& op) {
  if (part.scales != nullptr) {
    ForEachScaledVector<fuses>(part, special, op);
  } else if (part.stores == Stores::streaming) {
    ForEachVectorStored<Stores::streaming>(part, special, op);
  } else {
    ForEachVectorStored<Stores::cached>(part, special, op);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_ELEMENTWISE_INL_H_
