// Why the kernel of align_sum.cc is equal to the reference.
#include <algorithm>

#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {

// Products of float32 numbers are exact in float64, and so are their multiples by a power of two
// here, which stays between 2^-320 and 2^464: exponents of products and sums lie between -400 and
// 256. In units of the common last bit a product is below 2^(fraction + 2) and a sum below
// 2^(fraction + 1), so that integers up to 2^53 hold their sum. It is exact when the accumulator
// rounds it.
std::optional<SumPlan> plan_align(const SumBounds& bounds, SumConstants&) {
  const Accumulate& accumulate = bounds.arithmetic.accumulate;
  const double terms = 1 + std::min<double>(accumulate.chunk, bounds.taps());
  if (!bounds.factors_are_finite() || !bounds.keeps_product ||
      !takes_odd(bounds.arithmetic.accumulator) ||
      terms * power(accumulate.fraction + 2) > 0x1p53) {
    return {};
  }
  return SumPlan{SumKernel::align, false, true, true, "aligned products, in float64"};
}

}  // namespace tensorquant
