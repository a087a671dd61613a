#ifndef TENSORQUANT_ARITHMETIC_LAYERS_BATCH_NORM_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_BATCH_NORM_H_

#include <cstdint>
#include <span>

#include "tensorquant/arithmetic/arithmetic.h"

namespace tensorquant {

// A batch normalization in evaluation mode: the numbers of each channel.
template <class T>
struct BatchNorm {
  std::span<const T> mean, variance;
  std::span<const T> gamma, beta;  // empty: 1 and 0
  T epsilon;
};

// For x of shape (batch, channels, plane), as the first TensorQuant did:
//
//   scale = P(gamma * P(1 / P(sqrt(variance + epsilon))))
//   y     = A(P(x * scale) + A(beta - P(mean * scale)))
//
// Where P is Identity, roots, quotients and scale are rounded to T, and products are exact. Random
// rounding: x * scale and the last sum are those of y's index at tap 0; root, quotient, scale,
// mean * scale are the product's taps 1 to 4 and beta - ... the accumulator's tap 2, of the
// channel's index.
template <class T>
void batch_norm(const Arithmetic& arithmetic, const ArithmeticContext& context,
                const BatchNorm<T>& norm, std::int64_t plane, std::span<const T> x, std::span<T> y,
                RangeReport* report = nullptr, bool* outside = nullptr);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_BATCH_NORM_H_
