#ifndef TENSORQUANT_ARITHMETIC_LAYERS_NORMALIZATION_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_NORMALIZATION_H_

#include <cstddef>
#include <span>

#include "tensorquant/arithmetic/arithmetic.h"

namespace tensorquant {

// A normalization of each row of `size` numbers: layer norm, RMS norm, and group norm, whose rows
// are the groups of channels.
template <class T>
struct Normalization {
  std::size_t size = 1;
  bool is_centered = true;  // false: RMS norm, where c = x
  T epsilon = 0;
  // Number i of the tensor takes gamma[i / plane % gamma.size()], and beta's likewise. Empty: none.
  std::span<const T> gamma = {}, beta = {};
  std::size_t plane = 1;
};

// Of each row, where sum() rounds by A as `accumulate` says:
//
//   m   = P(sum(x_k) / size)
//   c_k = A(x_k - m)
//   v   = P(sum(P(c_k * c_k)) / size)
//   r   = P(1 / P(sqrt(v + epsilon)))
//   y_k = A(P(P(c_k * r) * gamma) + beta), without what there is none of
//
// Where P is Identity, squares and the product before an addition are exact; all else is rounded to
// T. A sum of numbers takes "fused" as "step". Of two accumulators A is the outer one. Random
// rounding: squares, c * r and its product with gamma are those of y's index at P's taps 0 to 2;
// c and y at A's taps 0 and 1. A row's m, v, root and r are those of its index at P's taps from
// kFirstRowTap on, its sums at A's from kFirstRowTap and kSecondSumTap on. `outside` is set where
// there is a beta: whether the last sum lies outside of A's range.
template <class T>
void normalize(const Arithmetic& arithmetic, const ArithmeticContext& context,
               const Normalization<T>& norm, std::span<const T> x, std::span<T> y,
               bool* outside = nullptr);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_NORMALIZATION_H_
