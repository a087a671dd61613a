// Sums of fixed-point products that are rounded at random. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_STOCHASTIC_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_STOCHASTIC_SUM_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_STOCHASTIC_SUM_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_STOCHASTIC_SUM_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/neighbours.h"
#include "tensorquant/arithmetic/sums/scoped_rounding.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/random-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// With t = a * b in steps of the product and u < 1 the random number, t rounded at random is
// ceil(t - u), exactly; with N random bits and n their next multiple of 2^-N, floor(t + (1 - n)).
// The fused multiply-add makes t - u or t + (1 - n), rounded upwards or downwards by the machine,
// which moves it over no integer; adding magic in the same direction makes it an integer.
template <bool clamps_products, bool clamps_sums>
struct StochasticOp {
  using D = hn::CappedTag<float, 16>;
  using DI = hn::RebindToSigned<D>;
  using DU = hn::RebindToUnsigned<D>;
  using V = hn::Vec<D>;
  using Sum = hn::Vec<DI>;

  explicit StochasticOp(const SumConstants& c)
      : cuts_(c.random_bits > 0),
        bits_(32 - (cuts_ ? c.random_bits : 24)),
        scale_(hn::Set(D(), static_cast<float>(std::ldexp(cuts_ ? 1.0 : -1.0, bits_ - 32)))),
        inverted_(hn::Set(DU(), cuts_ ? 0xFFFFFFFFu : 0u)),
        magic_(hn::Set(D(), 0xC00000p0f)),
        lowest_product_(hn::Set(D(), static_cast<float>(0xC00000 + c.lowest_product))),
        highest_product_(hn::Set(D(), static_cast<float>(0xC00000 + c.highest_product))),
        bias_(hn::BitCast(DI(), magic_)),
        lowest_sum_(hn::Set(DI(), static_cast<std::int32_t>(c.lowest_sum))),
        highest_sum_(hn::Set(DI(), static_cast<std::int32_t>(c.highest_sum))),
        shift_(c.shift) {}

  HWY_INLINE Sum Step(Sum s, V a, V b, hn::Vec<DU> word) const {
    // -u, or 1 - n = (2^N - 1 - the N random bits) 2^-N.
    const auto random = hn::ShiftRightSame(hn::Xor(word, inverted_), bits_);
    const V offset = hn::Mul(hn::ConvertTo(D(), hn::BitCast(DI(), random)), scale_);
    V p = hn::Add(hn::MulAdd(a, b, offset), magic_);
    if constexpr (clamps_products) p = hn::Max(hn::Min(p, highest_product_), lowest_product_);
    s = hn::Add(s, hn::ShiftLeftSame(hn::Sub(hn::BitCast(DI(), p), bias_), shift_));
    if constexpr (clamps_sums) s = hn::Max(hn::Min(s, highest_sum_), lowest_sum_);
    return s;
  }

 private:
  bool cuts_;
  int bits_;
  V scale_;
  hn::Vec<DU> inverted_;
  V magic_, lowest_product_, highest_product_;
  Sum bias_, lowest_sum_, highest_sum_;
  int shift_;
};

// The random words that some outputs share: 64, or 128 where a word serves two, at their index div
// their number.
struct TileWords {
  const RandomStream& random;
  const RoundKeys& keys;
  std::uint64_t tile;
};

// The sums of a tile. a are the row's factors, b[k * stride] those of the columns.
template <bool halves, class Op>
HWY_NOINLINE void SumTile(const Op& given, const TileWords& its_words, std::size_t taps,
                          const float* a, const float* b, std::size_t stride, std::int32_t* sums) {
  const Op op = given;
  const typename Op::D d;
  const typename Op::DI di;
  const typename Op::DU du;
  constexpr std::size_t kMost = 16;  // vectors in 64 outputs
  const std::size_t lanes = hn::Lanes(d), vectors = 64 / lanes;
  typename Op::Sum low[kMost], high[kMost];
  for (std::size_t v = 0; v < vectors; ++v) low[v] = high[v] = hn::Zero(di);
  HWY_ALIGN std::uint32_t words[2 * kTileWords];
  for (std::size_t k = 0; k < taps; ++k, b += stride) {
    const std::uint32_t* from = words + k % 2 * kTileWords;
    if (k % 2 == 0) {
      FillTilesOfTaps(its_words.random, its_words.keys, its_words.tile,
                      static_cast<std::uint32_t>(k), words);
    }
    const auto factor = hn::Set(d, a[k]);
    for (std::size_t v = 0; v < vectors; ++v) {
      const auto word = hn::Load(du, from + v * lanes);
      const auto column = hn::LoadU(d, b + v * lanes);
      if constexpr (halves) {
        low[v] = op.Step(low[v], factor, column, hn::ShiftLeft<16>(word));
        high[v] = op.Step(high[v], factor, hn::LoadU(d, b + 64 + v * lanes), word);
      } else {
        low[v] = op.Step(low[v], factor, column, word);
      }
    }
  }
  for (std::size_t v = 0; v < vectors; ++v) {
    hn::StoreU(low[v], di, sums + v * lanes);
    if constexpr (halves) hn::StoreU(high[v], di, sums + 64 + v * lanes);
  }
}

// The columns of a run, tap by tap, with a margin at both ends: tiles begin where the index says,
// not where the run begins.
class RunOfColumns {
 public:
  void Set(const Factor<float>& b, const Neighbours& run, std::size_t margin) {
    stride_ = run.count + 2 * margin;
    packed_.resize(b.taps.size() * stride_);
    for (std::size_t k = 0; k < b.taps.size(); ++k) {
      const float* from = b.data.data() + b.taps[k];
      const std::int64_t* lines = b.lines.data() + run.first;
      float* to = packed_.data() + k * stride_;
      std::fill(to, to + margin, 0.0f);
      for (std::size_t j = 0; j < run.count; ++j) to[margin + j] = from[lines[j]];
      std::fill(to + margin + run.count, to + stride_, 0.0f);
    }
  }
  std::size_t stride() const { return stride_; }
  const float* data() const { return packed_.data(); }

 private:
  std::size_t stride_ = 0;
  std::vector<float> packed_;
};

// Row by row of a run, then the next run.
template <bool clamps_products, bool clamps_sums, bool halves>
void RunStochastic(const SumJob& job) {
  constexpr std::size_t kTile = halves ? 128 : 64;
  const SumsOfProducts<float>& sums = job.sums;
  const std::size_t taps = sums.taps(), rows = sums.rows.size();
  const StochasticOp<clamps_products, clamps_sums> op(job.constants);
  const RoundKeys keys(job.context.product().seed);
  constexpr std::size_t kMostNumbers = std::size_t{1} << 22;  // of b at once
  const std::size_t most = std::max(kMostNumbers / std::max<std::size_t>(taps, 1), 4 * kTile);
  const std::vector<Neighbours> runs = runs_of_neighbours(sums.columns, most);
  std::size_t longest = 0;
  for (const Neighbours& run : runs) longest = std::max(longest, run.count);
  const std::size_t work = std::max<std::size_t>(1, longest * taps);  // of a row
  parallel_for(runs.size() * rows * work, work, [&](std::size_t begin, std::size_t end) HWY_ATTR {
    const DefaultFloatEnvironment environment;
    std::vector<float> a(taps);
    std::vector<double> results(longest);
    RunOfColumns b;
    std::size_t run_in_b = runs.size();
    HWY_ALIGN std::int32_t tile_sums[kTile];
    for (std::size_t item = begin / work; item < (end + work - 1) / work; ++item) {
      const Neighbours& run = runs[item / rows];
      const std::size_t i = item % rows;
      if (item / rows != run_in_b) {
        run_in_b = item / rows;
        b.Set(sums.b, run, kTile);
      }
      for (std::size_t k = 0; k < taps; ++k) {
        a[k] = static_cast<float>(
            job.constants.a_scale *
            static_cast<double>(
                sums.a.data[static_cast<std::size_t>(sums.a.lines[i] + sums.a.taps[k])]));
      }
      const auto index = static_cast<std::size_t>(sums.rows[i] + run.place);
      for (std::size_t tile = index / kTile; tile * kTile < index + run.count; ++tile) {
        const std::size_t margin = kTile + tile * kTile - index;  // where the tile begins in b
        {
          const ScopedRounding rounding(job.constants.machine_rounding);
          SumTile<halves>(op, {job.context.product(), keys, tile}, taps, a.data(),
                          b.data() + margin, b.stride(), tile_sums);
        }
        for (std::size_t l = 0; l < kTile; ++l) {
          const std::size_t j = margin + l - kTile;  // wraps around before the run
          if (j < run.count) results[j] = job.constants.unit * tile_sums[l];
        }
      }
      finish_tile(job, {i, 1, run.first, run.count, run.count}, results.data());
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_STOCHASTIC_SUM_INL_H_
