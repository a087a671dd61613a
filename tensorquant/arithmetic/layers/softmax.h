#ifndef TENSORQUANT_ARITHMETIC_LAYERS_SOFTMAX_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_SOFTMAX_H_

#include <cstddef>
#include <span>

#include "tensorquant/arithmetic/arithmetic.h"

namespace tensorquant {

// Of each row of `size` numbers x_k:
//
//   d_k = A(x_k - max x)
//   e_k = P(exp(d_k))
//   s   = the sum of e_k, rounded by A as `accumulate` says; fused is step
//   y_k = P(e_k / s), or of the logarithm A(d_k - P(log(s)))
//
// Where P is Identity it rounds to T. Of two accumulators A is the outer one. Random rounding: d, e
// and y are those of y's index, at taps 0 (A), 0 and 1 (P), or 1 (A); the sum and log(s) are those
// of the row's index at the taps from kFirstRowTap on. `outside` is set for logarithms: whether the
// last sum lies outside of A's range.
template <class T>
void softmax(const Arithmetic& arithmetic, const ArithmeticContext& context, std::size_t size,
             bool is_logarithm, std::span<const T> x, std::span<T> y, bool* outside = nullptr);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_SOFTMAX_H_
