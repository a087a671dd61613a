// Factors as bytes, in the order in which the loops of byte_sums-inl.h read them. Compiled once a
// target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_PACK_BYTES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_PACK_BYTES_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_PACK_BYTES_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_PACK_BYTES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/sums/neighbours.h"
#include "tensorquant/arithmetic/sums/pack-inl.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3

inline constexpr std::size_t kTapsOfWord = 4;
using Word = std::int32_t;

inline Word times(int factor, Word x) {  // modulo 2^32
  return static_cast<Word>(static_cast<std::uint32_t>(factor) * static_cast<std::uint32_t>(x));
}

// A step's taps in a word, the first one in its lowest byte: i - lowest without a sign, or i, for
// the integers i = x * scale.
class Words {
 public:
  using D = hn::ScalableTag<Word>;
  using DF = hn::RebindToFloat<D>;
  using V = hn::Vec<D>;
  using F = hn::Vec<DF>;

  Words(double scale, std::optional<int> lowest)
      : scale_(hn::Set(DF(), static_cast<float>(scale))),
        scale_of_second_(hn::Set(DF(), static_cast<float>(scale * 0x1p8))),
        scale_of_third_(hn::Set(DF(), static_cast<float>(scale * 0x1p16))),
        lowest_(hn::Set(D(), times(lowest.value_or(-128), 0x01010101))),
        signs_(hn::Set(D(), lowest ? 0 : times(128, 0x01010101))) {}

  // The bytes of i - lowest are the digits of the sum of (i - lowest) * 2^(8 tap). Of the integers
  // i themselves three are below 2^24, which float32 holds. A byte with a sign is i + 128 with its
  // first bit turned.
  HWY_INLINE V Pack(F x0, F x1, F x2, F x3) const {
    const F low =
        hn::MulAdd(x2, scale_of_third_, hn::MulAdd(x1, scale_of_second_, hn::Mul(x0, scale_)));
    const V high = hn::ShiftLeft<24>(hn::ConvertTo(D(), hn::Mul(x3, scale_)));
    return hn::Xor(hn::Sub(hn::Add(hn::ConvertTo(D(), low), high), lowest_), signs_);
  }

 private:
  F scale_, scale_of_second_, scale_of_third_;
  V lowest_, signs_;
};

// The words of one line after the other.
class LinePacker {
 public:
  // Words are stored by whole vectors.
  static std::size_t room(const Steps& steps) {
    const std::size_t lanes = hn::Lanes(Words::D());
    return (steps.size() + lanes - 1) / lanes * lanes;
  }

  LinePacker(const Words& words, const Steps& steps, std::span<const std::int64_t> taps)
      : words_(words),
        steps_(steps),
        taps_(taps),
        taps_are_neighbours_(are_neighbours(taps)),
        numbers_(kTapsOfWord * room(steps)) {}

  bool taps_are_neighbours() const { return taps_are_neighbours_; }

  void Pack(const float* line, Word* to) {
    std::size_t first_step = 0;
    for (const std::size_t end : steps_.ends) {
      CopySegment(line, steps_.first_taps[first_step], steps_.first_taps[end],
                  numbers_.data() + kTapsOfWord * first_step);
      first_step = end;
    }
    const Words::D d;
    const Words::DF df;
    for (std::size_t i = 0; i < room(steps_); i += hn::Lanes(d)) {
      Words::F x0, x1, x2, x3;
      hn::LoadInterleaved4(df, numbers_.data() + kTapsOfWord * i, x0, x1, x2, x3);
      hn::StoreU(words_.Pack(x0, x1, x2, x3), d, to + i);
    }
  }

 private:
  void CopySegment(const float* line, std::size_t first, std::size_t end, float* to) const {
    if (first == end) return;
    if (taps_are_neighbours_) {
      std::copy(line + taps_[first], line + taps_[first] + (end - first), to);
    } else {
      for (std::size_t k = first; k < end; ++k) to[k - first] = line[taps_[k]];
    }
  }

  const Words& words_;
  const Steps& steps_;
  const std::span<const std::int64_t> taps_;
  const bool taps_are_neighbours_;
  std::vector<float> numbers_;  // of a line, zeros behind those of a segment's last step
};

// A step after the other, for some vectors of columns.
template <std::size_t vectors, bool are_runs>
void PackSteps(const Words& words, const Steps& steps, const Factor<float>& b,
               const Columns& columns, Word* to) {
  const Words::D d;
  const Words::DF df;
  const std::size_t lanes = hn::Lanes(d);
  const float* const data = b.data.data();
  for (std::size_t step = 0; step < steps.size(); ++step) {
    const std::int64_t* const taps = b.taps.data() + steps.first_taps[step];
    const std::size_t count = steps.taps_of(step);
    for (std::size_t j = 0; j < vectors * lanes; j += lanes) {
      const auto load = [&](std::size_t tap)
                            HWY_ATTR { return columns.Load<are_runs>(df, data + taps[tap], j); };
      const auto zero = hn::Zero(df);
      const auto packed = count == kTapsOfWord ? words.Pack(load(0), load(1), load(2), load(3))
                                               : words.Pack(load(0), count > 1 ? load(1) : zero,
                                                            count > 2 ? load(2) : zero, zero);
      hn::Store(packed, d, to + j);
    }
    to += vectors * lanes;
  }
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_PACK_BYTES_INL_H_
