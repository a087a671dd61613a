#ifndef TENSORQUANT_ARITHMETIC_SUMS_FACTOR_RANGE_H_
#define TENSORQUANT_ARITHMETIC_SUMS_FACTOR_RANGE_H_

#include <span>

namespace tensorquant {

// What a kernel has to know about the numbers of a factor to be provably right: of the finite ones.
struct FactorRange {
  bool is_finite = true;  // all are
  float largest = 0;      // magnitude
  float lowest = 0;       // neither is beyond 0; of all, if they are finite
  float highest = 0;
  int last_bit = 1000;  // every number is a multiple of 2^last_bit; 1000: all are 0
  int significant_bits = 0;
};

// By one pass over them.
FactorRange range_of(std::span<const float> data);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_FACTOR_RANGE_H_
