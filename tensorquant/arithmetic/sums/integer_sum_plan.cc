// Why the kernel of integer_sum-inl.h is equal to the reference.
#include <cmath>
#include <cstdint>
#include <limits>

#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {
namespace {

// The factor is an integer of 16 bits times 2^last_bit, which float32 can divide by.
bool is_int16(const FactorRange& range) {
  return range.largest < power(15 + range.last_bit) && std::abs(range.last_bit) <= 100;
}

// Of a factor that is not all zeros.
int step_of(const FactorRange& range) { return range.largest == 0 ? 0 : range.last_bit; }

}  // namespace

// Where no product and no sum can round or saturate, the result is the exact sum, and the order of
// additions does not matter. The kernel has it: factors are integers i * 2^a and j * 2^b with |i|
// and |j| below 2^15, so that two products do not exceed 2^31 - 2^17, and no sum of some products
// of a line leaves int32, as the sum of all magnitudes does not. An int32 is exact in float64, and
// so is its product with a power of two. A sum that is zero is +0, as that of +0 and zeros is.
std::optional<SumPlan> plan_integer(const SumBounds& bounds, SumConstants& c) {
  FactorRange a = bounds.a, b = bounds.b;
  a.last_bit = step_of(a);
  b.last_bit = step_of(b);
  if (!is_int16(a) || !is_int16(b) || !bounds.sums_are_exact()) return {};
  if (!(bounds.largest_sum <
        std::ldexp(std::numeric_limits<std::int32_t>::max(), a.last_bit + b.last_bit))) {
    return {};
  }
  c.unit = power(a.last_bit + b.last_bit);
  c.a_scale = power(-a.last_bit);
  c.b_scale = power(-b.last_bit);
  return SumPlan{SumKernel::integer, false, false, false,
                 "no product and no sum can round or saturate; integers of 16 bits"};
}

}  // namespace tensorquant
