// Sums that are looked at: which loop finds out what is asked of them.
#include "tensorquant/arithmetic/sums/looking.h"

#include <cfenv>
#include <optional>

#include "tensorquant/arithmetic/sums/look_at_products.h"
#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {
namespace {

// All roundings of the accumulator.
std::size_t count_sums(const SumBounds& bounds) {
  const SumsOfProducts<float>& sums = bounds.sums;
  const std::size_t of_output =
      bounds.arithmetic.accumulate.sums(sums.taps()) + (bounds.has_bias ? 1 : 0);
  return sums.rows.size() * sums.columns.size() * of_output;
}

// The running sums have no limits, and are those of float64.
bool running_sums_fit(const SumBounds& bounds, const SumPlan& plan, const SumConstants& c) {
  switch (plan.kernel) {
    case SumKernel::exact:
      return true;
    case SumKernel::fixed_int:
      return bounds.largest_sum < c.unit * 0x7FFFFFFF;
    case SumKernel::fixed_float:
      return bounds.largest_sum <= c.unit * 0x1p24;
    case SumKernel::fixed_double:
      return c.machine_rounding == FE_TONEAREST ||
             fits(bounds.largest_sum, bounds.rounded_last_bit(), 53);
    case SumKernel::minifloat: {
      if (c.minifloat.to_zero || bounds.largest_sum >= 0x1p100) return false;
      if (!plan.rounds_sums) return true;
      // Exact products have no lanes of float32, in which a sum at an end is looked at once more.
      const bool tells_ends = c.minifloat.in_double || !bounds.keeps_product || !plan.clamps_sums;
      return c.machine_rounding == FE_TONEAREST && tells_ends;
    }
    default:
      return false;
  }
}

template <SumProof proof>
std::optional<SumPlan> looking(const SumBounds& bounds, SumConstants& c) {
  const std::optional<SumPlan> plan = proof(bounds, c);
  return plan && running_sums_fit(bounds, *plan, c) ? plan : std::nullopt;
}

std::optional<SumPlan> plan_looking(const SumBounds& bounds, bool products_are_finite,
                                    SumConstants& c) {
  constexpr SumProof kProofs[] = {looking<plan_exact>, looking<plan_fixed_int>,
                                  looking<plan_fixed_float>, looking<plan_fixed_double>,
                                  looking<plan_minifloat>};
  const std::optional<SumPlan> plan = first_plan(kProofs, bounds, c);
  const bool may_be_infinite = c.minifloat.product_ends > MinifloatEnds::clamp;
  return products_are_finite || !may_be_infinite ? plan : std::nullopt;
}

void clear_marks(const SumsOfProducts<float>& sums) {
  for (const std::int64_t row : sums.rows) {
    for (const std::int64_t column : sums.columns) sums.outside[row + column] = false;
  }
}

}  // namespace

void run_looking(const SumBounds& bounds, SumJob& job, RangeReport* report) {
  if (report == nullptr && job.plan.kernel != SumKernel::tiles) {
    const bool is_marked_at_the_end = bounds.has_bias || job.rounds_at_the_end();
    if (is_marked_at_the_end || !job.plan.clamps_sums) {
      if (!is_marked_at_the_end) clear_marks(job.sums);
      return run_sum_kernel(job);
    }
  }
  RangeReport found;
  if (report != nullptr) {
    look_at_products(bounds, found);
    found.sums += count_sums(bounds);
  }
  const bool products_are_finite = report != nullptr && found.clamped_products == 0;
  if (const auto plan = plan_looking(bounds, products_are_finite, job.constants)) {
    job.plan = *plan;
    SharedReport shared(found);
    if (report != nullptr) job.report = &shared;
    run_looking_kernel(job);
  } else {
    job.plan.kernel = SumKernel::tiles;
    job.constants = {};
    plan_tiles_or_reference(bounds, job.constants);  // for the constants
    run_tiles(job, report != nullptr ? &found : nullptr);
  }
  if (report != nullptr) report->merge(found);
}

}  // namespace tensorquant
