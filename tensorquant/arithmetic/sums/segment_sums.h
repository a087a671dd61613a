#ifndef TENSORQUANT_ARITHMETIC_SUMS_SEGMENT_SUMS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_SEGMENT_SUMS_H_

#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// Whether run_segments() can compute it: sums of two levels, nothing in them at random but the
// outer accumulator, no marks.
bool has_segment_sums(const Arithmetic& arithmetic, const SumsOfProducts<float>& sums);

// Segment after segment: the sums of one by whichever loop serves them, then the outer
// accumulator's addition. Returns the first segment's plan.
SumPlan run_segments(const Arithmetic& arithmetic, const ArithmeticContext& context,
                     SumsOfProducts<float> sums);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_SEGMENT_SUMS_H_
