#ifndef TENSORQUANT_ARITHMETIC_LAYERS_AVERAGE_POOL_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_AVERAGE_POOL_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/arithmetic/layers/scaled_operand.h"

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

// The shape of a pool whose windows have one size. All lists have one entry for each spatial
// dimension.
struct AveragePoolShape {
  std::int64_t planes = 1;
  std::vector<std::int64_t> input, kernel, stride;
  std::vector<std::int64_t> padding_begin, padding_end;  // zeros before and behind the input
  bool ceil_mode = false;         // a last window may reach beyond the padding
  bool count_include_pad = true;  // in the divisor, unless that is given
  std::optional<std::int64_t> divisor;

  // Spatial size. Throws an Error for a shape that makes no sense.
  std::vector<std::int64_t> output() const;
};

// The pools' windows and divisors. Throw an Error for a shape that makes no sense, such as a window
// of padding alone where that does not count.
AveragePool average_pool_of(const AveragePoolShape& shape);
// Output i of n averages the inputs from floor(i * input / n) to ceil((i + 1) * input / n).
AveragePool adaptive_average_pool_of(std::int64_t planes, const std::vector<std::int64_t>& input,
                                     const std::vector<std::int64_t>& output);

// y of shape (planes, output...) from x of (planes, input...): s adds up the window's inputs in C
// order, rounded by A as `accumulate` says (fused is step), then y = P(s / divisor), the exact
// quotient rounded once; where P is Identity, to T. In random rounding the quotient is tap 0.
// `outside` as in SumsOfProducts, for the last sum. With a scaled operand x is its elements.
template <class T>
void average_pool(const Arithmetic& arithmetic, const ArithmeticContext& context,
                  const AveragePool& pool, const T* x, T* y, RangeReport* report = nullptr,
                  bool* outside = nullptr, const ScaledOperand<T>* scaled = nullptr);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_AVERAGE_POOL_H_
