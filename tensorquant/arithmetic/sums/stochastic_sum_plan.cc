// Why the kernel of stochastic_sum-inl.h is equal to the reference.
#include <cfenv>

#include "tensorquant/arithmetic/sums/fixed_sum_plan.h"
#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {

std::optional<SumPlan> plan_stochastic(const SumBounds& bounds, SumConstants& c) {
  const std::optional<FixedSum> f = fixed_sum(bounds);
  if (!f || f->rounds_sums || f->product->rounding != Rounding::stochastic) return {};
  constexpr double kMost = 0x400000 - 2;  // steps, around magic
  if (f->largest_product > kMost) return {};
  c.shift = f->clamps_sums ? f->accumulator->fraction - f->product->fraction : 0;
  if ((f->largest_sum + f->largest_product) * power(c.shift) >= 0x7FFFFFFF) return {};
  const int fraction = f->product->fraction;
  if (bounds.a.largest != 0 &&
      (bounds.a.largest * power(fraction) > 0x1p126 || bounds.a.last_bit + fraction < -149)) {
    return {};
  }
  c.random_bits = f->product->random_bits;
  c.machine_rounding = c.random_bits > 0 ? FE_DOWNWARD : FE_UPWARD;
  c.unit = power(-fraction - c.shift);
  c.a_scale = power(fraction);
  f->set_limits(1, 1, c);
  return f->plan(SumKernel::stochastic, "random products, sums fit into int32");
}

}  // namespace tensorquant
