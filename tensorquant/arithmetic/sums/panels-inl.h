// Panels of columns, packed, and the tiles of outputs in them. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_PANELS_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_PANELS_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_PANELS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/pack-inl.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/base/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// Rows of the registers' block, which is two vectors wide.
inline constexpr std::size_t kRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;

// Fixed point has one zero; rounding down, the machine makes -0 even of x - x.
inline void DropSignsOfZeros(const SumJob& job, std::span<double> sums) {
  const bool has_zeros_with_signs = job.plan.kernel == SumKernel::minifloat &&
                                    job.constants.minifloat.sums >= MinifloatSums::small;
  if (has_zeros_with_signs) return;
  for (double& s : sums) s += 0.0;
}

// Panel().Run(sum_tile, ...) for all tiles of outputs, on several threads. Taps are packed by steps
// of which none reaches over one of the ends.
template <class Panel, class Packing, class TileSums>
void RunPanels(const SumJob& job, const Packing& packing, const TileSums& sum_tile,
               const std::vector<std::size_t>& ends) {
  const std::size_t width = 2 * hn::Lanes(typename Packing::D());
  const std::size_t rows = job.sums.rows.size(), columns = job.sums.columns.size();
  if (rows == 0 || columns == 0) return;
  const Steps steps(ends, Packing::kTogether);
  const auto a = PackRows(packing, steps, job.sums.a, job.constants.a_scale);
  const std::size_t panels = (columns + width - 1) / width;
  const std::size_t work = std::max<std::size_t>(1, rows * width * job.sums.taps() / 8);
  parallel_for(panels * work, work, [&](std::size_t begin, std::size_t end) HWY_ATTR {
    const DefaultFloatEnvironment environment;
    std::vector<typename Packing::B> b(width * steps.size() * Packing::kTogether);
    Panel panel(job, steps, width);
    for (std::size_t i = begin / work; i < (end + work - 1) / work; ++i) {
      const std::size_t column = i * width;
      PackColumns(packing, steps, job.sums.b, column, width, b.data());
      panel.SetColumns(column);
      for (std::size_t row = 0; row < rows; row += kPackedRows) {
        const Tile tile = {row, std::min(kPackedRows, rows - row), column,
                           std::min(width, columns - column), width};
        panel.Run(sum_tile, tile, a.data() + row * steps.size(), b.data());
      }
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_PANELS_INL_H_
