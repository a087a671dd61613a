#ifndef TENSORQUANT_ARITHMETIC_SUMS_LOOK_AT_PRODUCTS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_LOOK_AT_PRODUCTS_H_

#include "tensorquant/arithmetic/sums/sum_bounds.h"

namespace tensorquant {

// What a RangeReport says of the products, all numbers of them.
void look_at_products(const SumBounds& bounds, RangeReport& report);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_LOOK_AT_PRODUCTS_H_
