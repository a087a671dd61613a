// Sums of products of bytes, by the processor's dot product of four: AVX-512's VNNI, of which
// Highway's targets know nothing. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_BYTE_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_BYTE_SUMS_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_BYTE_SUMS_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_BYTE_SUMS_INL_H_
#endif

#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/neighbours.h"
#include "tensorquant/arithmetic/sums/pack_bytes-inl.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// sums[i][j] = start + the sum of the products of a's words, `stride` apart from row to row, and
// b's, for two vectors of columns. Modulo 2^32, as every sum here.
template <std::size_t rows, FactorOfBytes without_sign>
HWY_NOINLINE void SumWords(std::size_t steps, const Word* a, std::size_t stride, const Word* b,
                           const Word* starts, Word* sums) {
  const hn::ScalableTag<Word> d;
  using V = hn::Vec<decltype(d)>;
  const std::size_t lanes = hn::Lanes(d);
  constexpr bool is_a = without_sign == FactorOfBytes::a;
  V s[rows][2];
  HWY_UNROLL(8)
  for (std::size_t i = 0; i < rows; ++i) {
    s[i][0] = is_a ? hn::Load(d, starts) : hn::Set(d, starts[i]);
    s[i][1] = is_a ? hn::Load(d, starts + lanes) : s[i][0];
  }
  for (std::size_t k = 0; k < steps; ++k) {
    const V b0 = hn::Load(d, b), b1 = hn::Load(d, b + lanes);
    b += 2 * lanes;
    HWY_UNROLL(8)
    for (std::size_t i = 0; i < rows; ++i) {
      const V ai = hn::Set(d, a[i * stride + k]);
      if constexpr (is_a) {
        s[i][0].raw = _mm512_dpbusd_epi32(s[i][0].raw, ai.raw, b0.raw);
        s[i][1].raw = _mm512_dpbusd_epi32(s[i][1].raw, ai.raw, b1.raw);
      } else {
        s[i][0].raw = _mm512_dpbusd_epi32(s[i][0].raw, b0.raw, ai.raw);
        s[i][1].raw = _mm512_dpbusd_epi32(s[i][1].raw, b1.raw, ai.raw);
      }
    }
  }
  HWY_UNROLL(8)
  for (std::size_t i = 0; i < rows; ++i) {
    hn::Store(s[i][0], d, sums + 2 * lanes * i);
    hn::Store(s[i][1], d, sums + 2 * lanes * i + lanes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_POP_ATTRIBUTES
#endif

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3

inline constexpr std::size_t kByteWidth = 2 * HWY_LANES(std::int32_t);  // of a panel of columns

inline Words words_of_a(const SumConstants& c) {
  return Words(c.a_scale,
               c.without_sign == FactorOfBytes::a ? std::optional(c.lowest) : std::nullopt);
}
inline Words words_of_b(const SumConstants& c) {
  return Words(c.b_scale,
               c.without_sign == FactorOfBytes::b ? std::optional(c.lowest) : std::nullopt);
}

// For i = u + lowest the sum of i * j is that of u * j and lowest * the sum of j, which is where a
// line of the factor with a sign starts, segment by segment.

// All rows of a.
class ByteRows {
 public:
  ByteRows(const SumJob& job, const Steps& steps)
      : stride_(stride_of(steps)),
        padded_rows_((job.sums.rows.size() + kPackedRows - 1) / kPackedRows * kPackedRows),
        words_(hwy::AllocateAligned<Word>(padded_rows_ * stride_)) {
    const Factor<float>& a = job.sums.a;
    const Words words = words_of_a(job.constants);
    LinePacker packer(words, steps, a.taps);
    std::fill(words_.get() + a.lines.size() * stride_, words_.get() + padded_rows_ * stride_, 0);
    const bool starts = job.constants.without_sign == FactorOfBytes::b;
    if (starts) starts_.resize(steps.ends.size() * padded_rows_);
    for (std::size_t i = 0; i < a.lines.size(); ++i) {
      Word* const line = words_.get() + i * stride_;
      packer.Pack(a.data.data() + a.lines[i], line);
      std::size_t first = 0;
      for (std::size_t segment = 0; starts && segment < steps.ends.size(); ++segment) {
        starts_[segment * padded_rows_ + i] =
            times(job.constants.lowest, SumOfBytes(line + first, line + steps.ends[segment]));
        first = steps.ends[segment];
      }
    }
  }

  std::size_t stride() const { return stride_; }
  const Word* words(std::size_t row, std::size_t step) const {
    return words_.get() + row * stride_ + step;
  }
  const Word* starts(std::size_t segment, std::size_t row) const {
    return starts_.data() + segment * padded_rows_ + row;
  }

 private:
  // An odd number of cache lines: rows that lie a power of two apart would share their places.
  static std::size_t stride_of(const Steps& steps) {
    constexpr std::size_t kLine = 16;
    return ((steps.size() + kLine - 1) / kLine | 1) * kLine;
  }
  static Word SumOfBytes(const Word* first, const Word* last) {
    const auto* const bytes = reinterpret_cast<const std::int8_t*>(first);
    return std::accumulate(bytes, bytes + (last - first) * sizeof(Word), Word{0});
  }

  const std::size_t stride_, padded_rows_;
  hwy::AlignedFreeUniquePtr<Word[]> words_;
  std::vector<Word> starts_;
};

// A panel of b's columns.
class ByteColumns {
 public:
  ByteColumns(const SumJob& job, const Steps& steps)
      : job_(job),
        steps_(steps),
        words_of_b_(words_of_b(job.constants)),
        packer_(words_of_b_, steps, job.sums.b.taps),
        words_(hwy::AllocateAligned<Word>(kByteWidth * std::max<std::size_t>(1, steps.size()))),
        column_(LinePacker::room(steps)) {
    if (job.constants.without_sign != FactorOfBytes::a) return;
    ones_.assign(steps.size(), 0x01010101);
    starts_ = hwy::AllocateAligned<Word>(kByteWidth * steps.ends.size());
  }

  void Pack(std::size_t first) {
    const Factor<float>& b = job_.sums.b;
    const Columns columns(b.lines, first, kByteWidth);
    if (columns.run() == 1 && packer_.taps_are_neighbours()) {
      for (std::size_t j = 0; j < kByteWidth; ++j) {
        packer_.Pack(b.data.data() + columns.offset(j), column_.data());
        for (std::size_t i = 0; i < steps_.size(); ++i) words_[i * kByteWidth + j] = column_[i];
      }
    } else if (columns.run() >= kByteWidth / 2) {
      PackSteps<2, true>(words_of_b_, steps_, b, columns, words_.get());
    } else {
      PackSteps<2, false>(words_of_b_, steps_, b, columns, words_.get());
    }
    if (starts_) FindStarts();
  }

  const Word* words(std::size_t step) const { return words_.get() + step * kByteWidth; }
  const Word* starts(std::size_t segment) const { return starts_.get() + segment * kByteWidth; }

 private:
  void FindStarts() {
    alignas(64) constexpr Word kZeros[kByteWidth] = {};
    std::size_t first = 0;
    for (std::size_t segment = 0; segment < steps_.ends.size(); ++segment) {
      Word* const starts = starts_.get() + segment * kByteWidth;
      SumWords<1, FactorOfBytes::a>(steps_.ends[segment] - first, ones_.data(), 0, words(first),
                                    kZeros, starts);
      for (std::size_t j = 0; j < kByteWidth; ++j) {
        starts[j] = times(job_.constants.lowest, starts[j]);
      }
      first = steps_.ends[segment];
    }
  }

  const SumJob& job_;
  const Steps& steps_;
  const Words words_of_b_;
  LinePacker packer_;
  hwy::AlignedFreeUniquePtr<Word[]> words_, starts_;
  std::vector<Word> ones_, column_;
};

// The sums of a segment's products, for a tile.
inline void SumSegment(const SumJob& job, const Steps& steps, std::size_t segment, const Tile& tile,
                       const ByteRows& a, const ByteColumns& b, Word* sums) {
  const std::size_t first = segment == 0 ? 0 : steps.ends[segment - 1];
  const std::size_t count = steps.ends[segment] - first;
  const auto sum = [&](auto rows, std::size_t i) {
    constexpr std::size_t kRows = rows.value;
    const Word* const words = a.words(tile.row + i, first);
    if (job.constants.without_sign == FactorOfBytes::a) {
      SumWords<kRows, FactorOfBytes::a>(count, words, a.stride(), b.words(first), b.starts(segment),
                                        sums + i * kByteWidth);
    } else {
      SumWords<kRows, FactorOfBytes::b>(count, words, a.stride(), b.words(first),
                                        a.starts(segment, tile.row + i), sums + i * kByteWidth);
    }
  };
  if (tile.rows > kPackedRows / 2) {
    return sum(std::integral_constant<std::size_t, kPackedRows>(), 0);
  }
  for (std::size_t i = 0; i < tile.rows; ++i) sum(std::integral_constant<std::size_t, 1>(), i);
}

inline void ToDouble(double unit, std::size_t rows, const Word* sums, double* to) {
  for (std::size_t i = 0; i < rows * kByteWidth; ++i) to[i] = unit * sums[i];
}

// Stores a tile of float32 numbers, a vector of row i from column j on being at(i, j).
template <class At>
HWY_INLINE void StoreTile(const SumsOfProducts<float>& sums, const Tile& tile, const At& at) {
  const Words::DF d;
  const auto places = std::span(sums.columns).subspan(tile.column, tile.columns);
  const bool is_whole = tile.columns == kByteWidth && are_neighbours(places);
  alignas(64) float values[kPackedRows * kByteWidth];
  for (std::size_t i = 0; i < tile.rows; ++i) {
    float* const to =
        is_whole ? sums.y + sums.rows[tile.row + i] + places[0] : values + i * kByteWidth;
    for (std::size_t j = 0; j < kByteWidth; j += hn::Lanes(d)) hn::StoreU(at(i, j), d, to + j);
  }
  if (is_whole) return;
  for (std::size_t j = 0; j < tile.columns; ++j) {
    float* const column = sums.y + places[j];
    for (std::size_t i = 0; i < tile.rows; ++i) {
      column[sums.rows[tile.row + i]] = values[i * kByteWidth + j];
    }
  }
}

// The sums of one level.
class BytePanel {
 public:
  BytePanel(const SumJob& job, const Steps& steps)
      : job_(job), steps_(steps), limits_(limits_in_type<float>(job.arithmetic.accumulator)) {
    const SumConstants& c = job.constants;
    // An integer is rounded to 24 bits as its product with the unit is.
    const bool is_float32 = !job.rounds_at_the_end() || c.ends_in_float32;
    stores_at_once_ = is_float32 && c.sums_are_in_range && c.unit < 0x1p127 &&
                      !job.sums.has_bias() && job.sums.unconverted == nullptr;
  }

  void SetColumns(std::size_t) {}
  HWY_ATTR void Run(const Tile& tile, const ByteRows& a, const ByteColumns& b) {
    SumSegment(job_, steps_, 0, tile, a, b, sums_);
    if (stores_at_once_) return Store(tile);
    ToDouble(job_.constants.unit, tile.rows, sums_, in_double_);
    finish_tile(job_, tile, in_double_);
  }

 private:
  HWY_ATTR void Store(const Tile& tile) const {
    const Words::D d;
    const Words::DF df;
    const auto unit = hn::Set(df, static_cast<float>(job_.constants.unit));
    const auto lowest = hn::Set(df, limits_.lowest), highest = hn::Set(df, limits_.highest);
    StoreTile(job_.sums, tile, [&](std::size_t i, std::size_t j) HWY_ATTR {
      const auto x = hn::Mul(unit, hn::ConvertTo(df, hn::Load(d, sums_ + i * kByteWidth + j)));
      return hn::Max(hn::Min(x, highest), lowest);
    });
  }

  const SumJob& job_;
  const Steps& steps_;
  const Bounds<float> limits_;
  bool stores_at_once_;
  alignas(64) Word sums_[kPackedRows * kByteWidth];
  alignas(64) double in_double_[kPackedRows * kByteWidth];
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_BYTE_SUMS_INL_H_
