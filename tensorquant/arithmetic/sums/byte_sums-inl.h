// Sums of products of bytes, by the processor's dot product of four: AVX-512's VNNI. Compiled once
// a target.
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
#include <limits>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/outer_sums.h"
#include "tensorquant/arithmetic/sums/pack_bytes-inl.h"
#include "tensorquant/arithmetic/sums/segment_sums-inl.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// sums[i][j] = start + the sum of the products of a's words, `stride` apart from row to row, and
// b's, for two vectors of columns. Modulo 2^32, as every sum here.
template <std::size_t rows, FactorOfBytes without_sign>
HWY_NOINLINE void SumWords(std::size_t steps, const std::int32_t* a, std::size_t stride,
                           const std::int32_t* b, const std::int32_t* starts, std::int32_t* sums) {
  const hn::ScalableTag<std::int32_t> d;
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
using Word = std::int32_t;

inline Words words_of_a(const SumConstants& c) {
  return Words(c.a_scale,
               c.without_sign == FactorOfBytes::a ? std::optional(c.lowest) : std::nullopt);
}
inline Words words_of_b(const SumConstants& c) {
  return Words(c.b_scale,
               c.without_sign == FactorOfBytes::b ? std::optional(c.lowest) : std::nullopt);
}

inline Word times(int lowest, Word sum) {
  return static_cast<Word>(static_cast<std::uint32_t>(lowest) * static_cast<std::uint32_t>(sum));
}

// Where i = u + lowest, the sum of i * j is that of u * j and lowest * the sum of j: where it
// starts, for each line of the factor with a sign, segment by segment.

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
    Word sum = 0;
    for (const auto* byte = reinterpret_cast<const std::int8_t*>(first);
         byte != reinterpret_cast<const std::int8_t*>(last); ++byte)
      sum += *byte;
    return sum;
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
      for (std::size_t j = 0; j < kByteWidth; ++j)
        starts[j] = times(job_.constants.lowest, starts[j]);
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
  if (tile.rows > kPackedRows / 2)
    return sum(std::integral_constant<std::size_t, kPackedRows>(), 0);
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

inline bool has_bias(const SumsOfProducts<float>& sums) {
  return sums.row_bias != nullptr || sums.column_bias != nullptr;
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
                      !has_bias(job.sums) && job.sums.unconverted == nullptr;
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

// The words of a row of a panel times a * b[j] * unit, added to t in float32: all of them, or none
// and false.
inline bool AddRowInFloat(float a, const float* b, float unit, const Word* s, float* t) {
  const Words::D d;
  const Words::DF df;
  const auto row = hn::Set(df, a), units = hn::Set(df, unit);
  const auto largest = hn::Set(df, std::numeric_limits<float>::max());
  const auto sum = [&](std::size_t j) HWY_ATTR {
    const auto x = hn::Mul(units, hn::ConvertTo(df, hn::Load(d, s + j)));
    return hn::MulAdd(hn::Mul(row, hn::LoadU(df, b + j)), x, hn::Load(df, t + j));
  };
  const auto low = sum(0), high = sum(kByteWidth / 2);
  const auto are_finite = hn::And(hn::Le(hn::Abs(low), largest), hn::Le(hn::Abs(high), largest));
  if (!hn::AllTrue(df, are_finite)) return false;
  hn::Store(low, df, t);
  hn::Store(high, df, t + kByteWidth / 2);
  return true;
}

// The same by way of float64, for any scales: see AddScaledAt, which has the rows where a sum is
// half way between two floats. Here a sum of 0 is exact: nothing in it is below 2^-500.
inline bool AddRowInDouble(float a, const double* b, double unit, const Word* s, float* t) {
  const hn::ScalableTag<double> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Rebind<Word, decltype(d)> dw;
  const hn::Rebind<float, decltype(d)> df;
  constexpr std::size_t kVectors = kByteWidth / HWY_LANES(double);
  const auto row = hn::Set(d, a * unit);  // exact
  const auto behind = hn::Set(du, (std::uint64_t{1} << 29) - 1);
  const auto half = hn::Set(du, std::uint64_t{1} << 28), one = hn::Set(du, 1);
  const auto all = hn::Set(du, ~std::uint64_t{0});
  auto from_half = all, least_size = all, most_size = hn::Zero(du);
  hn::Vec<decltype(df)> sums[kVectors];
  for (std::size_t i = 0; i < kVectors; ++i) {
    const std::size_t j = i * hn::Lanes(d);
    const auto scale = hn::Mul(row, hn::Load(d, b + j));  // exact
    const auto sum = hn::MulAdd(scale, hn::PromoteTo(d, hn::Load(dw, s + j)),
                                hn::PromoteTo(d, hn::Load(df, t + j)));
    const auto bits = hn::BitCast(du, sum);
    const auto size = hn::Add(bits, bits);  // without the sign
    from_half = hn::Min(from_half, hn::Xor(hn::And(bits, behind), half));
    least_size = hn::Min(least_size, hn::Sub(size, one));  // of those that are not 0
    most_size = hn::Max(most_size, size);
    sums[i] = hn::DemoteTo(df, sum);
  }
  const auto size_of = [du](double x) HWY_ATTR { return hn::Set(du, 2 * to_bits(x)); };
  const auto are_normal = hn::And(hn::Gt(least_size, hn::Sub(size_of(0x1p-126), hn::Set(du, 2))),
                                  hn::Lt(most_size, size_of(0x1p127)));
  if (!hn::AllTrue(du, hn::And(are_normal, hn::Ne(from_half, hn::Zero(du))))) return false;
  for (std::size_t i = 0; i < kVectors; ++i) hn::Store(sums[i], df, t + i * hn::Lanes(d));
  return true;
}

// The segments of a panel of columns, one after the other, for all rows. T is what the outer sums
// are kept in.
template <class T>
class SegmentedBytePanel {
 public:
  SegmentedBytePanel(const SumJob& job, const Steps& steps)
      : job_(job),
        steps_(steps),
        room_(kByteWidth * steps.ends.size()),
        scales_in_double_(hwy::AllocateAligned<double>(room_.size())) {
    const std::size_t rows = job.sums.rows.size();
    for (std::size_t i = 0; i < steps.ends.size(); ++i) {
      for (std::size_t row = 0; row < rows; row += kPackedRows) {
        row_exponents_.push_back(
            exponents_of(job.outer->row_scales(i).subspan(row, std::min(kPackedRows, rows - row))));
      }
    }
  }

  void SetColumns(std::size_t first) {
    scales_.clear();
    for (std::size_t i = 0; i < steps_.ends.size(); ++i) {
      scales_.push_back(job_.outer->column_scales(
          i, first, std::span(room_).subspan(i * kByteWidth, kByteWidth)));
    }
    std::copy(room_.begin(), room_.end(), scales_in_double_.get());
  }

  HWY_ATTR void Run(const Tile& tile, const ByteRows& a, const ByteColumns& b) {
    std::fill(t_, t_ + tile.rows * kByteWidth, T{0});
    for (std::size_t segment = 0; segment < steps_.ends.size(); ++segment) {
      SumSegment(job_, steps_, segment, tile, a, b, sums_);
      Add(tile, segment);
    }
    Finish(tile);
  }

 private:
  HWY_ATTR void Add(const Tile& tile, std::size_t segment) {
    const double unit = job_.constants.unit;
    if constexpr (std::is_same_v<T, float>) {
      const float* const b = scales_[segment].values.data();
      const double* const b_in_double = scales_in_double_.get() + segment * kByteWidth;
      const bool rounds = job_.rounds_at_the_end();
      if (!rounds && AddsInFloat(tile, segment)) {
        return AddRows(tile, segment, [&](float a, const Word* s, T* t) HWY_ATTR {
          return AddRowInFloat(a, b, static_cast<float>(unit), s, t);
        });
      }
      if (!rounds) {
        return AddRows(tile, segment, [&](float a, const Word* s, T* t) HWY_ATTR {
          return AddRowInDouble(a, b_in_double, unit, s, t);
        });
      }
    }
    AddRows(tile, segment, [](float, const Word*, T*) { return false; });
  }

  // Whether one fused multiply-add in float32 is all that a tile needs.
  bool AddsInFloat(const Tile& tile, std::size_t segment) const {
    const std::size_t tiles = row_exponents_.size() / steps_.ends.size();
    return job_.constants.sums_in_float32 &&
           multiply_exactly(row_exponents_[segment * tiles + tile.row / kPackedRows],
                            scales_[segment].exponents);
  }

  // add(scale, s, t): whether it could.
  template <class AddRow>
  HWY_ATTR void AddRows(const Tile& tile, std::size_t segment, const AddRow& add) {
    const float* const scales = job_.outer->row_scales(segment).data() + tile.row;
    for (std::size_t i = 0; i < tile.rows; ++i) {
      const Word* const s = sums_ + i * kByteWidth;
      T* const t = t_ + i * kByteWidth;
      if (add(scales[i], s, t)) continue;
      const Tile row = {tile.row + i, 1, tile.column, tile.columns, kByteWidth};
      alignas(64) double in_double[kByteWidth];
      ToDouble(job_.constants.unit, 1, s, in_double);
      RoundAtTheEnd(job_, in_double);
      job_.outer->add(row, segment, scales_[segment], in_double, t);
    }
  }

  HWY_ATTR void Finish(const Tile& tile) {
    if constexpr (std::is_same_v<T, float>) {
      if (!has_bias(job_.sums)) {
        const Words::DF df;
        const auto nan = hn::Set(df, std::numeric_limits<float>::quiet_NaN());
        return StoreTile(job_.sums, tile, [&](std::size_t i, std::size_t j) HWY_ATTR {
          const auto x = hn::Load(df, t_ + i * kByteWidth + j);
          return hn::IfThenElse(hn::IsNaN(x), nan, x);
        });
      }
    }
    job_.outer->finish(tile, t_);
  }

  const SumJob& job_;
  const Steps& steps_;
  std::vector<float> room_;
  std::vector<ColumnScales> scales_;  // of each segment
  hwy::AlignedFreeUniquePtr<double[]> scales_in_double_;
  std::vector<Exponents> row_exponents_;  // of each segment's tiles
  alignas(64) Word sums_[kPackedRows * kByteWidth];
  alignas(64) T t_[kPackedRows * kByteWidth];
};

template <class Panel>
void RunBytePanels(const SumJob& job, const std::vector<std::size_t>& ends) {
  const std::size_t rows = job.sums.rows.size(), columns = job.sums.columns.size();
  const Steps steps(ends, kTapsOfWord);
  const ByteRows a(job, steps);
  const std::size_t panels = (columns + kByteWidth - 1) / kByteWidth;
  const std::size_t work = std::max<std::size_t>(1, rows * kByteWidth * job.sums.taps() / 16);
  parallel_for(panels * work, work, [&](std::size_t begin, std::size_t end) HWY_ATTR {
    const DefaultFloatEnvironment environment;
    ByteColumns b(job, steps);
    Panel panel(job, steps);
    for (std::size_t i = begin / work; i < (end + work - 1) / work; ++i) {
      const std::size_t column = i * kByteWidth;
      b.Pack(column);
      panel.SetColumns(column);
      for (std::size_t row = 0; row < rows; row += kPackedRows) {
        panel.Run({row, std::min(kPackedRows, rows - row), column,
                   std::min(kByteWidth, columns - column), kByteWidth},
                  a, b);
      }
    }
  });
}

inline bool HasByteProducts() { return __builtin_cpu_supports("avx512vnni") != 0; }

inline void RunBytes(const SumJob& job) {
  if (job.outer == nullptr) return RunBytePanels<BytePanel>(job, {job.sums.taps()});
  const std::vector<std::size_t>& ends = job.outer->ends();
  job.outer->adds_in_float32() ? RunBytePanels<SegmentedBytePanel<float>>(job, ends)
                               : RunBytePanels<SegmentedBytePanel<double>>(job, ends);
}

#else

inline bool HasByteProducts() { return false; }
inline void RunBytes(const SumJob&) {}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_BYTE_SUMS_INL_H_
