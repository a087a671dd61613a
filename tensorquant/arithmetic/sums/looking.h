#ifndef TENSORQUANT_ARITHMETIC_SUMS_LOOKING_H_
#define TENSORQUANT_ARITHMETIC_SUMS_LOOKING_H_

#include "tensorquant/arithmetic/sums/sum_bounds.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

namespace tensorquant {

// Runs a job whose kernel is proved, and tells all that RangeReport and SumsOfProducts::outside ask
// for. The plan becomes that of the loop that looked.
void run_looking(const SumBounds& bounds, SumJob& job, RangeReport* report);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_LOOKING_H_
