// Sums that are looked at: which loop finds out what is asked of them.
#include "tensorquant/arithmetic/sums/looking.h"

#include "tensorquant/arithmetic/sums/look_at_products.h"
#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {
namespace {

// All roundings of the accumulator.
std::size_t count_sums(const SumBounds& bounds) {
  const SumsOfProducts<float>& sums = bounds.sums;
  const std::size_t taps = sums.taps();
  const std::size_t together = bounds.arithmetic.accumulate.together(taps);
  const std::size_t of_output = (taps + together - 1) / together + (bounds.has_bias ? 1 : 0);
  return sums.rows.size() * sums.columns.size() * of_output;
}

}  // namespace

void run_looking(const SumBounds& bounds, SumJob& job, RangeReport* report) {
  if (report != nullptr) {
    look_at_products(bounds, *report);
    report->sums += count_sums(bounds);
  }
  job.plan.kernel = SumKernel::tiles;
  job.constants = {};
  plan_tiles_or_reference(bounds, job.constants);  // for the constants
  run_tiles(job, report);
}

}  // namespace tensorquant
