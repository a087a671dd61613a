// Chooses the fastest kernel that is provably equal to the reference.
#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "tensorquant/arithmetic/sums/looking.h"
#include "tensorquant/arithmetic/sums/segment_sums.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"
#include "tensorquant/arithmetic/sums/sum_plans.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/base/float_environment.h"

namespace tensorquant {
namespace {

bool runs_fast(const SumBounds& bounds) {
  // The kernels add the bias in float64, rounded to odd.
  const bool looks_far = !takes_odd(bounds.arithmetic.accumulator);
  return has_fused_multiply_add() && !(looks_far && bounds.has_bias);
}

// Random words come for neighbouring outputs, which should be columns then.
bool begin_with_neighbours(const std::vector<std::int64_t>& places) {
  return places.size() > 1 && places[1] == places[0] + 1;
}
SumsOfProducts<float> turned(SumsOfProducts<float> sums) {
  std::swap(sums.a, sums.b);
  std::swap(sums.rows, sums.columns);
  std::swap(sums.row_bias, sums.column_bias);
  return sums;
}

void run(const SumJob& job) {
  switch (job.plan.kernel) {
    case SumKernel::reference:
      return sums_of_products_reference(job.arithmetic, job.context, job.sums);
    case SumKernel::tiles:
      return run_tiles(job, nullptr);
    case SumKernel::align:
      return run_aligned(job);
    default:
      return run_sum_kernel(job);
  }
}

// What becomes of the sums at the end of a segment.
void set_end(const SumBounds& bounds, SumConstants& c) {
  const int last_bit = bounds.rounded_last_bit();
  c.rounds_at_the_end = bounds.rounds_at_the_end() && !bounds.sum_is_exact(last_bit);
  // Multiples of 2^-149 are no further apart than the numbers of float32.
  c.sums_are_in_range = last_bit >= -149 && bounds.largest_sum < 0x1p127;
  c.ends_in_float32 = is_float32(bounds.arithmetic.accumulator) && c.sums_are_in_range;
  const bool is_exact =
      bounds.sums_are_exact() && !c.rounds_at_the_end && fits(bounds.largest_sum, last_bit, 24);
  c.sums_in_float32 =
      c.sums_are_in_range && (is_exact || (c.rounds_at_the_end && c.ends_in_float32));
}

// How far sums are from the accumulator's ends for so many steps that trying without them pays.
void set_checks(const SumBounds& bounds, const SumPlan& plan, SumConstants& c) {
  const bool may_be_infinite =
      !bounds.factors_are_finite() || (plan.kernel == SumKernel::minifloat && plan.clamps_products);
  if (!plan.clamps_sums || bounds.rounds_at_the_end() || may_be_infinite) return;
  const Bounds<double> ends = ends_of<float>(bounds.arithmetic.accumulator);
  const double limit = std::min(-ends.lowest, ends.highest);
  const double rounding = bound_after_rounding(bounds.arithmetic.accumulator, limit, 1) - limit;
  const double step = bounds.largest_product() + rounding;
  constexpr double kFewest = 4, kMost = 32;
  const double steps = std::min(std::floor(limit / 2 / step), kMost);
  if (!(steps >= kFewest)) return;
  c.check_every = static_cast<std::size_t>(steps);
  c.check_limit = (limit - steps * step) * (1 - 1e-6) / c.unit;
}

}  // namespace

std::optional<SumPlan> first_plan(std::span<const SumProof> proofs, const SumBounds& bounds,
                                  SumConstants& constants) {
  if (!runs_fast(bounds)) return {};
  for (const SumProof proof : proofs) {
    if (!bounds.factors_are_finite() && proof != plan_minifloat) continue;
    constants = {};
    const std::optional<SumPlan> found = proof(bounds, constants);
    if (!found) continue;
    set_end(bounds, constants);
    set_checks(bounds, *found, constants);
    return found;
  }
  constants = {};
  return {};
}

SumPlan plan(const SumBounds& bounds, SumConstants& constants) {
  if (bounds.mode == Accumulate::Mode::align) {
    constexpr const char* kReason = "aligned products that need more than float64";
    return plan_align(bounds, constants)
        .value_or(SumPlan{SumKernel::reference, true, true, true, kReason});
  }
  constexpr SumProof kProofs[] = {plan_integer,     plan_exact,        plan_fixed_int,
                                  plan_fixed_float, plan_fixed_double, plan_minifloat,
                                  plan_stochastic};
  const std::optional<SumPlan> found = first_plan(kProofs, bounds, constants);
  return found ? *found : plan_tiles_or_reference(bounds, constants);
}

std::string to_string(SumKernel kernel) {
  switch (kernel) {
    case SumKernel::reference:
      return "reference";
    case SumKernel::tiles:
      return "tiles";
    case SumKernel::integer:
      return "integer";
    case SumKernel::exact:
      return "exact";
    case SumKernel::fixed_int:
      return "fixed_int";
    case SumKernel::fixed_float:
      return "fixed_float";
    case SumKernel::fixed_double:
      return "fixed_double";
    case SumKernel::minifloat:
      return "minifloat";
    case SumKernel::align:
      return "align";
    case SumKernel::stochastic:
      break;
  }
  return "stochastic";
}

SumPlan sums_of_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                         const SumsOfProducts<float>& sums, RangeReport* report) {
  const DefaultFloatEnvironment environment;  // looking at the numbers must not flush them
  const bool is_at_random = is_random(arithmetic.product) || is_random(arithmetic.accumulator);
  if (is_at_random && !begin_with_neighbours(sums.columns) && begin_with_neighbours(sums.rows)) {
    return sums_of_products(arithmetic, context, turned(sums), report);
  }
  SumJob job{arithmetic, context, sums, {}, {}};
  if (sums.rows.empty() || sums.columns.empty()) {
    job.plan.reason = "there is no output";
    return job.plan;
  }
  const bool has_two_levels = arithmetic.outer || sums.has_scales();
  const bool looks = report != nullptr || sums.outside != nullptr;
  if (!looks && has_segment_sums(arithmetic, sums)) return run_segments(arithmetic, context, sums);
  const bool has_no_tiles =
      arithmetic.accumulate.mode == Accumulate::Mode::align || sums.taps() == 0;
  if (has_two_levels || (looks && has_no_tiles)) {
    sums_of_products_reference(arithmetic, context, sums, report);
    job.plan.reason = "sums of two levels, aligned or without products, looked at or at random";
    return job.plan;
  }
  const SumBounds bounds(arithmetic, sums);
  job.plan = plan(bounds, job.constants);
  if (!looks) {
    run(job);
  } else if (job.plan.kernel == SumKernel::reference) {
    sums_of_products_reference(arithmetic, context, sums, report);
  } else {
    run_looking(bounds, job, report);
  }
  return job.plan;
}

}  // namespace tensorquant
