#include "tensorquant/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/kernels/threshold.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

template <class T>
void RunCopy(const Part<T>& part) {
  ForEachVector(part, NothingSpecial(), [](auto x) HWY_ATTR { return x; });
}

template <class T>
void RunSparse(T threshold, const Part<T>& part) {
  const hn::ScalableTag<T> d;
  const auto limit = hn::Set(d, threshold);
  ForEachVector(part, NothingSpecial(), [=](auto x) HWY_ATTR {
    const auto is_small = hn::Lt(hn::Abs(x), limit);  // false for NaN, which stays
    return hn::IfThenZeroElse(is_small, x);
  });
}

template <class T>
void RunBinary(T magnitude, const Part<T>& part) {
  const hn::ScalableTag<T> d;
  const auto plus = hn::Set(d, magnitude);
  const auto minus = hn::Set(d, -magnitude);
  ForEachVector(part, KeepsNan(), [=](auto x) HWY_ATTR {
    return hn::IfThenElse(hn::Ge(x, hn::Zero(d)), plus, minus);
  });
}

// `threshold` is a value of T: the format's own, or the largest that a tensor's exact threshold
// reaches, as values of T are above both or above neither.
template <class T>
void RunTernary(T magnitude, T threshold, const Part<T>& part) {
  const hn::ScalableTag<T> d;
  const auto signless = hn::Set(d, magnitude);
  const auto limit = hn::Set(d, threshold);
  ForEachVector(part, KeepsNan(), [=](auto x) HWY_ATTR {
    const auto is_large = hn::Gt(hn::Abs(x), limit);
    return hn::IfThenElseZero(is_large, hn::CopySignToAbs(signless, x));
  });
}

template <class T>
void RunClip(Bounds<T> limits, const T* dy, const Part<T>& part) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto clip = [&](const T* x, const T* gradient) HWY_ATTR {
    const auto v = hn::LoadU(d, x);
    const auto is_inside =
        hn::And(hn::Ge(v, hn::Set(d, limits.lowest)), hn::Le(v, hn::Set(d, limits.highest)));
    return hn::IfThenElseZero(is_inside, hn::LoadU(d, gradient));
  };
  std::size_t i = 0;
  for (; i + lanes <= part.count; i += lanes) {
    hn::StoreU(clip(part.in + i, dy + i), d, part.out + i);
  }
  constexpr std::size_t kMaxLanes = HWY_MAX_BYTES / sizeof(T);
  T x[kMaxLanes] = {}, gradient[kMaxLanes] = {};
  std::copy(part.in + i, part.in + part.count, x);
  std::copy(dy + i, dy + part.count, gradient);
  hn::StoreU(clip(x, gradient), d, x);
  std::copy_n(x, part.count - i, part.out + i);
}

template <class T, class D>
HWY_INLINE hn::Vec<D> LoadAsDouble(D d, const T* x) {
  if constexpr (sizeof(T) == 8) {
    return hn::LoadU(d, x);
  } else {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<T, D>(), x));
  }
}

// The sums of the magnitudes in each of a whole block's kSumLanes lanes; returns how many elements
// are finite. Four vectors are walked at a time, so that their additions do not wait for each
// other. Longer vectors than a quarter of the lanes are no faster where conversion and addition
// share their units (Zen 4).
template <bool checks_finite, class T>
double SumLanes(const T* x, double* lanes) {
  const hn::CappedTag<double, kSumLanes / 4> d;
  const std::size_t width = hn::Lanes(d);
  const auto infinity = hn::Set(d, std::numeric_limits<double>::infinity());
  const auto one = hn::Set(d, 1.0);
  auto counts = hn::Zero(d);
  const auto add = [&](auto& sum, const T* from) HWY_ATTR {
    const auto magnitude = hn::Abs(LoadAsDouble(d, from));
    if constexpr (checks_finite) {
      const auto is_finite = hn::Lt(magnitude, infinity);
      sum = hn::Add(sum, hn::IfThenElseZero(is_finite, magnitude));
      counts = hn::Add(counts, hn::IfThenElseZero(is_finite, one));
    } else {
      sum = hn::Add(sum, magnitude);
    }
  };
  for (std::size_t lane = 0; lane < kSumLanes; lane += 4 * width) {
    auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
    for (std::size_t i = lane; i < kSumBlock; i += kSumLanes) {
      add(sum0, x + i);
      add(sum1, x + i + width);
      add(sum2, x + i + 2 * width);
      add(sum3, x + i + 3 * width);
    }
    hn::StoreU(sum0, d, lanes + lane);
    hn::StoreU(sum1, d, lanes + lane + width);
    hn::StoreU(sum2, d, lanes + lane + 2 * width);
    hn::StoreU(sum3, d, lanes + lane + 3 * width);
  }
  return checks_finite ? hn::GetLane(hn::SumOfLanes(d, counts)) : kSumBlock;
}

template <class T>
MagnitudeSum SumFinite(const T* x) {
  double lanes[kSumLanes];
  MagnitudeSum block = {0, SumLanes<true>(x, lanes)};
  for (double lane : lanes) block.sum += lane;
  return block;
}

// Whole blocks. Additions of lanes wait for each other, therefore those of several blocks take
// turns.
template <std::size_t kBlocks, class T>
void SumWholeBlocks(const T* x, MagnitudeSum* blocks) {
  double lanes[kBlocks][kSumLanes], sums[kBlocks] = {};
  for (std::size_t b = 0; b < kBlocks; ++b) SumLanes<false>(x + b * kSumBlock, lanes[b]);
  for (std::size_t lane = 0; lane < kSumLanes; ++lane) {
    for (std::size_t b = 0; b < kBlocks; ++b) sums[b] += lanes[b][lane];
  }
  for (std::size_t b = 0; b < kBlocks; ++b) {
    blocks[b].sum = sums[b];
    blocks[b].count = kSumBlock;
    // A finite sum tells that all elements are.
    if (!std::isfinite(sums[b])) blocks[b] = SumFinite(x + b * kSumBlock);
  }
}

// Part<T>::out is not used: `blocks` receives the sums. The rest of a last, short block counts as
// zeros that are no elements.
template <class T>
void SumBlocks(const Part<T>& part, MagnitudeSum* blocks) {
  std::size_t i = 0;
  for (; i + 4 * kSumBlock <= part.count; i += 4 * kSumBlock, blocks += 4) {
    SumWholeBlocks<4>(part.in + i, blocks);
  }
  for (; i + kSumBlock <= part.count; i += kSumBlock) SumWholeBlocks<1>(part.in + i, blocks++);
  if (i == part.count) return;
  std::array<T, kSumBlock> rest = {};
  std::copy(part.in + i, part.in + part.count, rest.begin());
  SumWholeBlocks<1>(rest.data(), blocks);
  blocks->count -= static_cast<double>(kSumBlock - (part.count - i));
}

void Copy32(const Part<float>& part) { RunCopy(part); }
void Copy64(const Part<double>& part) { RunCopy(part); }
void Sparse32(float threshold, const Part<float>& part) { RunSparse(threshold, part); }
void Sparse64(double threshold, const Part<double>& part) { RunSparse(threshold, part); }
void Binary32(float magnitude, const Part<float>& part) { RunBinary(magnitude, part); }
void Binary64(double magnitude, const Part<double>& part) { RunBinary(magnitude, part); }
void Ternary32(float magnitude, float threshold, const Part<float>& part) {
  RunTernary(magnitude, threshold, part);
}
void Ternary64(double magnitude, double threshold, const Part<double>& part) {
  RunTernary(magnitude, threshold, part);
}
void Clip32(Bounds<float> limits, const float* dy, const Part<float>& part) {
  RunClip(limits, dy, part);
}
void Clip64(Bounds<double> limits, const double* dy, const Part<double>& part) {
  RunClip(limits, dy, part);
}
void SumBlocks32(const Part<float>& part, MagnitudeSum* blocks) { SumBlocks(part, blocks); }
void SumBlocks64(const Part<double>& part, MagnitudeSum* blocks) { SumBlocks(part, blocks); }

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(Copy32);
HWY_EXPORT(Copy64);
HWY_EXPORT(Sparse32);
HWY_EXPORT(Sparse64);
HWY_EXPORT(Binary32);
HWY_EXPORT(Binary64);
HWY_EXPORT(Ternary32);
HWY_EXPORT(Ternary64);
HWY_EXPORT(Clip32);
HWY_EXPORT(Clip64);
HWY_EXPORT(SumBlocks32);
HWY_EXPORT(SumBlocks64);

namespace {

template <class T, class SumParts>
double threshold_of(std::span<const T> x, const SumParts& sum_parts) {
  static_assert(kPartBlock % kSumBlock == 0);
  std::vector<MagnitudeSum> blocks((x.size() + kSumBlock - 1) / kSumBlock);
  for_each_part(x, std::span<T>(), [&](const Part<T>& part) {
    sum_parts(part, blocks.data() + part.first / kSumBlock);
  });
  const DefaultFloatEnvironment environment;
  MagnitudeSum total = {0, 0};
  for (const MagnitudeSum& block : blocks) {
    total.sum += block.sum;
    total.count += block.count;
  }
  // Beyond double's range, which is too rare to be fast.
  if (std::isinf(total.sum)) return ternary_threshold_reference(x);
  return total.count == 0 ? 0 : kTernaryThreshold * total.sum / total.count;
}

template <class T>
void quantize_ternary(Ternary format, std::span<const T> in, std::span<T> out,
                      const Context& context) {
  if (!format.threshold) {
    const DefaultFloatEnvironment environment;
    format.threshold = round_down_to<T>(ternary_threshold(in));
  }
  for_each_part(in, out,
                [&](const Part<T>& part) { quantize_part(format, context.random(), part); });
}

}  // namespace

void quantize_part(const Identity&, const RandomStream&, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(Copy32)(part);
}
void quantize_part(const Identity&, const RandomStream&, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(Copy64)(part);
}
void quantize_part(const Sparse& format, const RandomStream&, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(Sparse32)(static_cast<float>(format.threshold), part);
}
void quantize_part(const Sparse& format, const RandomStream&, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(Sparse64)(format.threshold, part);
}
void quantize_part(const Binary& format, const RandomStream&, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(Binary32)(static_cast<float>(format.magnitude), part);
}
void quantize_part(const Binary& format, const RandomStream&, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(Binary64)(format.magnitude, part);
}
void quantize_part(const Ternary& format, const RandomStream&, const Part<float>& part) {
  HWY_DYNAMIC_DISPATCH(Ternary32)
  (static_cast<float>(format.magnitude), static_cast<float>(*format.threshold), part);
}
void quantize_part(const Ternary& format, const RandomStream&, const Part<double>& part) {
  HWY_DYNAMIC_DISPATCH(Ternary64)(format.magnitude, *format.threshold, part);
}

void quantize(const Ternary& format, std::span<const float> in, std::span<float> out,
              const Context& context) {
  quantize_ternary(format, in, out, context);
}
void quantize(const Ternary& format, std::span<const double> in, std::span<double> out,
              const Context& context) {
  quantize_ternary(format, in, out, context);
}

double ternary_threshold(std::span<const float> x) {
  return threshold_of(x, [](const Part<float>& part, MagnitudeSum* blocks) {
    HWY_DYNAMIC_DISPATCH(SumBlocks32)(part, blocks);
  });
}
double ternary_threshold(std::span<const double> x) {
  return threshold_of(x, [](const Part<double>& part, MagnitudeSum* blocks) {
    HWY_DYNAMIC_DISPATCH(SumBlocks64)(part, blocks);
  });
}

void clip_gradient(Bounds<float> limits, std::span<const float> x, std::span<const float> dy,
                   std::span<float> dx) {
  for_each_part(x, dx, [&](const Part<float>& part) {
    HWY_DYNAMIC_DISPATCH(Clip32)(limits, dy.data() + part.first, part);
  });
}
void clip_gradient(Bounds<double> limits, std::span<const double> x, std::span<const double> dy,
                   std::span<double> dx) {
  for_each_part(x, dx, [&](const Part<double>& part) {
    HWY_DYNAMIC_DISPATCH(Clip64)(limits, dy.data() + part.first, part);
  });
}

}  // namespace tensorquant
#endif  // HWY_ONCE
