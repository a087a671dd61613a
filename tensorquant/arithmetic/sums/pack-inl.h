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

#include "tensorquant/arithmetic/sums/sums_of_products.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows of a that are packed together, and the most columns of b.
inline constexpr std::size_t kPackedRows = 8;
inline constexpr std::size_t kMostWidth = 64;

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

  HWY_INLINE void Copy(const float* from, float* to) const {
    switch (run_) {
      case 1:
        for (std::size_t j = 0; j < width_; ++j) to[j] = from[offsets_[j]];
        return;
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

 private:
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

// Of a step, whose taps the op packs together.
template <class Op>
HWY_INLINE void PackStep(const Op& op, const Factor<float>& b, const Columns& columns,
                         std::span<const std::int64_t> taps, std::size_t width,
                         typename Op::B* packed) {
  HWY_ALIGN float room[Op::kTogether][kMostWidth];
  const float* rows[Op::kTogether];
  for (std::size_t i = 0; i < Op::kTogether; ++i) {
    rows[i] = room[i];
    if (i >= taps.size()) {
      std::fill(room[i], room[i] + width, 0.0f);
    } else if (const float* from = b.data.data() + taps[i]; columns.are_one_run()) {
      rows[i] = columns.first(from);
    } else {
      columns.Copy(from, room[i]);
    }
  }
  op.PackStep(rows, width, packed);
}

template <class Op>
HWY_INLINE void PackColumns(const Op& op, const Steps& steps, const Factor<float>& b,
                            std::size_t first, std::size_t width, typename Op::B* packed) {
  const Columns columns(b.lines, first, width);
  if constexpr (Op::kTogether == 1) {
    for (const std::int64_t tap : b.taps) {
      columns.Copy(b.data.data() + tap, packed);
      packed += width;
    }
  } else {
    const std::span<const std::int64_t> taps(b.taps);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      PackStep(op, b, columns, taps.subspan(steps.first_taps[i], steps.taps_of(i)), width, packed);
      packed += Op::kTogether * width;
    }
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
