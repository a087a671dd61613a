// Factors in the order in which the loops read them. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_PACK_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_PACK_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_PACK_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/sums/neighbours.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows of a that are packed together, and the most columns of b.
inline constexpr std::size_t kPackedRows = 8;
inline constexpr std::size_t kMostWidth = 64;
inline constexpr std::size_t kTapsAtOnce = 16;

// The steps of the loops: step i takes the taps from first_taps[i] to first_taps[i + 1], no more
// than go together, and none of two segments. Segment i ends before step ends[i].
struct Steps {
  Steps(std::span<const std::size_t> segment_ends, std::size_t together) {
    std::size_t tap = 0;
    for (const std::size_t end : segment_ends) {
      for (; tap < end; tap = std::min(tap + together, end)) first_taps.push_back(tap);
      ends.push_back(first_taps.size());
    }
    first_taps.push_back(tap);
  }

  std::size_t size() const { return first_taps.size() - 1; }
  std::size_t taps_of(std::size_t step) const { return first_taps[step + 1] - first_taps[step]; }

  std::vector<std::size_t> first_taps, ends;
};

// Where neighbouring columns lie. Columns beyond the last repeat it.
class Columns {
 public:
  Columns(const std::vector<std::int64_t>& lines, std::size_t first, std::size_t width)
      : width_(width) {
    for (std::size_t j = 0; j < width; ++j) {
      offsets_[j] = lines[std::min(first + j, lines.size() - 1)];
    }
    const auto are_runs_of = [&](std::size_t run) {
      for (std::size_t j = 0; j < width; ++j) {
        const std::size_t first_of_run = j / run * run;
        if (offsets_[j] != offsets_[first_of_run] + static_cast<std::int64_t>(j - first_of_run)) {
          return false;
        }
      }
      return true;
    };
    for (run_ = width; run_ > 1 && !are_runs_of(run_);) run_ /= 2;
  }

  std::size_t run() const { return run_; }
  std::int64_t offset(std::size_t j) const { return offsets_[j]; }
  bool are_one_run() const { return run_ == width_; }
  const float* first(const float* from) const { return from + offsets_[0]; }

  // A vector of columns from `column` on, a multiple of its lanes, which are in one run each, or
  // may not be.
  template <bool are_runs, class D>
  HWY_INLINE hn::Vec<D> Load(D d, const float* from, std::size_t column) const {
    if constexpr (are_runs) return hn::LoadU(d, from + offsets_[column]);
    HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
    if (run_ >= 4) {
      for (std::size_t j = 0; j < hn::Lanes(d); j += 4) {
        std::memcpy(lanes + j, from + offsets_[column + j], 4 * sizeof(float));
      }
    } else {
      for (std::size_t j = 0; j < hn::Lanes(d); ++j) lanes[j] = from[offsets_[column + j]];
    }
    return hn::Load(d, lanes);
  }

  // to[k * stride + j] is tap k of column j, of no more taps than kTapsAtOnce.
  HWY_INLINE void Copy(const float* from, std::span<const std::int64_t> taps, std::size_t stride,
                       float* to) const {
    if (run_ > 1) {
      for (std::size_t k = 0; k < taps.size(); ++k) CopyTap(from + taps[k], to + k * stride);
      return;
    }
    // Columns may lie so far apart that each needs a line of the cache of its own, and all the same
    // one of its sets: a weight's rows do.
#if HWY_TARGET != HWY_SCALAR
    if (taps.size() == kTapsAtOnce && width_ % 4 == 0 && are_neighbours(taps)) {
      return CopyTransposed(from + taps[0], stride, to);
    }
#endif
    for (std::size_t j = 0; j < width_; ++j) {
      const float* column = from + offsets_[j];
      for (std::size_t k = 0; k < taps.size(); ++k) to[k * stride + j] = column[taps[k]];
    }
  }

 private:
#if HWY_TARGET != HWY_SCALAR  // which has no vectors of four
  // Neighbouring taps, by squares of four.
  HWY_INLINE void CopyTransposed(const float* from, std::size_t stride, float* to) const {
    const hn::FixedTag<float, 4> d;
    for (std::size_t j = 0; j < width_; j += 4) {
      for (std::size_t k = 0; k < kTapsAtOnce; k += 4) {
        const auto column = [&](std::size_t i)
                                HWY_ATTR { return hn::LoadU(d, from + offsets_[j + i] + k); };
        const auto x0 = column(0), x1 = column(1), x2 = column(2), x3 = column(3);
        const auto lower02 = hn::InterleaveLower(d, x0, x2),
                   upper02 = hn::InterleaveUpper(d, x0, x2);
        const auto lower13 = hn::InterleaveLower(d, x1, x3),
                   upper13 = hn::InterleaveUpper(d, x1, x3);
        float* square = to + k * stride + j;
        hn::StoreU(hn::InterleaveLower(d, lower02, lower13), d, square);
        hn::StoreU(hn::InterleaveUpper(d, lower02, lower13), d, square + stride);
        hn::StoreU(hn::InterleaveLower(d, upper02, upper13), d, square + 2 * stride);
        hn::StoreU(hn::InterleaveUpper(d, upper02, upper13), d, square + 3 * stride);
      }
    }
  }
#endif

  HWY_INLINE void CopyTap(const float* from, float* to) const {
    switch (run_) {
      case 2:
        return CopyRuns<2>(from, to);
      case 4:
        return CopyRuns<4>(from, to);
      case 8:
        return CopyRuns<8>(from, to);
      default:
        return CopyRuns<16>(from, to);
    }
  }

  // Longer runs are some of these.
  template <std::size_t run>
  HWY_INLINE void CopyRuns(const float* from, float* to) const {
    for (std::size_t j = 0; j < width_; j += run) {
      std::memcpy(to + j, from + offsets_[j], run * sizeof(float));
    }
  }

  std::size_t width_, run_ = 1;
  std::int64_t offsets_[kMostWidth];
};

// run(taps) for all taps, kTapsAtOnce after each other.
template <class Run>
HWY_INLINE void ForTapsAtOnce(std::span<const std::int64_t> taps, const Run& run) {
  for (std::size_t k = 0; k < taps.size(); k += kTapsAtOnce) {
    run(taps.subspan(k, std::min(kTapsAtOnce, taps.size() - k)));
  }
}

// Of ops that pack some taps together.
template <class Op>
HWY_INLINE void PackTogether(const Op& op, const Steps& steps, const Factor<float>& b,
                             const Columns& columns, std::size_t width, typename Op::B* packed) {
  constexpr std::size_t kStepsAtOnce = kTapsAtOnce / Op::kTogether;
  HWY_ALIGN float room[kTapsAtOnce][kMostWidth];
  HWY_ALIGN constexpr float kZeros[kMostWidth] = {};
  const float* data = b.data.data();
  const std::span<const std::int64_t> taps(b.taps);
  for (std::size_t first = 0; first < steps.size(); first += kStepsAtOnce) {
    const std::size_t end = std::min(first + kStepsAtOnce, steps.size());
    const std::size_t first_tap = steps.first_taps[first];
    if (!columns.are_one_run()) {
      columns.Copy(data, taps.subspan(first_tap, steps.first_taps[end] - first_tap), kMostWidth,
                   room[0]);
    }
    for (std::size_t i = first; i < end; ++i) {
      const float* rows[Op::kTogether];
      for (std::size_t k = 0; k < Op::kTogether; ++k) {
        const std::size_t tap = steps.first_taps[i] + k;
        rows[k] = k >= steps.taps_of(i)   ? kZeros
                  : columns.are_one_run() ? columns.first(data + taps[tap])
                                          : room[tap - first_tap];
      }
      op.PackStep(rows, width, packed);
      packed += Op::kTogether * width;
    }
  }
}

template <class Op>
HWY_INLINE void PackColumns(const Op& op, const Steps& steps, const Factor<float>& b,
                            std::size_t first, std::size_t width, typename Op::B* packed) {
  const Columns columns(b.lines, first, width);
  if constexpr (Op::kTogether == 1) {
    ForTapsAtOnce(b.taps, [&](std::span<const std::int64_t> taps) HWY_ATTR {
      columns.Copy(b.data.data(), taps, width, packed);
      packed += taps.size() * width;
    });
  } else {
    PackTogether(op, steps, b, columns, width, packed);
  }
}

// By kPackedRows.
template <class Op>
std::vector<typename Op::A> PackRows(const Op& op, const Steps& steps, const Factor<float>& a,
                                     double scale) {
  const std::size_t rows = a.lines.size();
  const std::size_t blocks = (rows + kPackedRows - 1) / kPackedRows;
  std::vector<typename Op::A> packed(blocks * kPackedRows * steps.size());
  for (std::size_t i = 0; i < rows; ++i) {
    typename Op::A* to =
        packed.data() + i / kPackedRows * kPackedRows * steps.size() + i % kPackedRows;
    const float* from = a.data.data() + a.lines[i];
    for (std::size_t step = 0; step < steps.size(); ++step) {
      double taps[Op::kTogether] = {};
      for (std::size_t k = 0; k < steps.taps_of(step); ++k) {
        taps[k] = scale * static_cast<double>(from[a.taps[steps.first_taps[step] + k]]);
      }
      to[step * kPackedRows] = op.PackRow(taps);
    }
  }
  return packed;
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_PACK_INL_H_
