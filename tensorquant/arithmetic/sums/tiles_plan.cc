// Where tiles.cc is equal to the reference.
#include <algorithm>
#include <cmath>

#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {
namespace {

// The magnitude of the format's ends in a float32 tensor.
double largest_of(const GridFormat& format) {
  const Bounds<double> ends = ends_of<float>(format);
  return std::max(-ends.lowest, ends.highest);
}

}  // namespace

// The tiles round sums to odd first, which serves all formats but those that look at bits far
// below the result or far above it.
SumPlan plan_tiles_or_reference(const SumBounds& bounds) {
  const auto reference = [](const char* reason) {
    return SumPlan{SumKernel::reference, true, true, true, reason};
  };
  const int last_bit = bounds.rounded_last_bit();
  if (bounds.mode == Accumulate::Mode::once || bounds.mode == Accumulate::Mode::chunk) {
    if (!fits(bounds.largest_sum, last_bit, 53) || !bounds.factors_are_finite()) {
      return reference("the sum of several products needs more than float64");
    }
  }
  if (!takes_odd(bounds.arithmetic.accumulator)) {
    const double ends = largest_of(bounds.arithmetic.accumulator);
    double most = ends;
    int lowest = std::min(last_bit, tensorquant::last_bit(bounds.arithmetic.accumulator));
    const double product =
        bounds.keeps_product
            ? bounds.largest
            : std::min(bound_after_rounding(bounds.arithmetic.product, bounds.largest, 1),
                       largest_of(bounds.arithmetic.product));
    most += bounds.mode == Accumulate::Mode::step || bounds.mode == Accumulate::Mode::fused
                ? product
                : product * bounds.taps();
    if (bounds.has_bias) {
      const FactorRange bias =
          range_of({bounds.sums.row_bias ? bounds.sums.row_bias : bounds.sums.column_bias,
                    bounds.sums.row_bias ? bounds.sums.rows.size() : bounds.sums.columns.size()});
      lowest = std::min(lowest, bias.last_bit);
      most = bias.is_finite ? std::max(most, ends + bias.largest) : INFINITY;
    }
    if (!bounds.factors_are_finite() || !fits(most, lowest, 53)) {
      return reference("the accumulator looks at more bits than float64 has");
    }
  }
  return {SumKernel::tiles, true, true, true, "formats without a kernel of their own"};
}

}  // namespace tensorquant
