#ifndef TENSORQUANT_ARITHMETIC_SUMS_FIXED_SUM_PLAN_H_
#define TENSORQUANT_ARITHMETIC_SUMS_FIXED_SUM_PLAN_H_

#include <optional>

#include "tensorquant/arithmetic/sums/sum_bounds.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

namespace tensorquant {

// What kernels of fixed-point products have in common.
struct FixedSum {
  const FixedPoint* product = nullptr;      // null: not rounded
  const FixedPoint* accumulator = nullptr;  // null: of another kind
  bool clamps_products = false, clamps_sums = false, rounds_sums = false;
  double largest_product = 0;  // in steps of the product, after it was clamped
  double largest_sum = 0;      // in steps of the product, after it was clamped

  // Of a product and, where it is clamped, a sum; a scale is what a format's step is in units.
  void set_limits(double product_scale, double sum_scale, SumConstants& constants) const;
  SumPlan plan(SumKernel kernel, const char* sums) const;
};

// Nothing where products are no saturating fixed point, or sums need another kernel.
std::optional<FixedSum> fixed_sum(const SumBounds& bounds);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_FIXED_SUM_PLAN_H_
