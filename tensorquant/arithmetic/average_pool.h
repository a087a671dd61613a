#ifndef TENSORQUANT_ARITHMETIC_AVERAGE_POOL_H_
#define TENSORQUANT_ARITHMETIC_AVERAGE_POOL_H_

#include <cstdint>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"

namespace tensorquant {

// The inputs that an output averages, along one dimension: [first, first + size), those that the
// input does not have being zeros.
struct PoolWindow {
  std::int64_t first, size;
};

struct AveragePool {
  std::int64_t planes = 1;                       // batch times channels
  std::vector<std::int64_t> input;               // spatial size
  std::vector<std::vector<PoolWindow>> windows;  // for each dimension, one for each output
  std::vector<std::int64_t> divisors;            // for each output point, in C order; not 0
};

// y of shape (planes, output...) from x of (planes, input...): s adds up the window's inputs in C
// order, rounded by A as `accumulate` says (fused is step), then y = P(s / divisor), the exact
// quotient rounded once; where P is Identity, to T. In random rounding the quotient is tap 0.
// `outside` as in SumsOfProducts, for the last sum.
template <class T>
void average_pool(const Arithmetic& arithmetic, const ArithmeticContext& context,
                  const AveragePool& pool, const T* x, T* y, RangeReport* report = nullptr,
                  bool* outside = nullptr);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_AVERAGE_POOL_H_
