// Sums of products of bytes, segment by segment, and which of both loops runs. Compiled once a
// target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_BYTE_SEGMENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_BYTE_SEGMENTS_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_BYTE_SEGMENTS_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_BYTE_SEGMENTS_INL_H_
#endif

#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "tensorquant/arithmetic/sums/byte_sums-inl.h"
#include "tensorquant/arithmetic/sums/outer_sums.h"
#include "tensorquant/arithmetic/sums/segment_sums-inl.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3

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
      if (!job_.sums.has_bias()) {
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

#endif  // TENSORQUANT_ARITHMETIC_SUMS_BYTE_SEGMENTS_INL_H_
