#ifndef TENSORQUANT_ARITHMETIC_LAYERS_ELEMENTWISE_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_ELEMENTWISE_H_

#include <span>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/arithmetic/exact/function.h"

namespace tensorquant {

// y = P(f(x)), the exact real number rounded once; where P is Identity, to T. All have one size;
// y may be x. In random rounding: the element's index at tap 0.
template <class T>
void rounded_function(const Arithmetic& arithmetic, const ArithmeticContext& context,
                      Function function, std::span<const T> x, std::span<T> y);

// y = P(a * b) and y = P(a / b), likewise.
template <class T>
void rounded_multiply(const Arithmetic& arithmetic, const ArithmeticContext& context,
                      std::span<const T> a, std::span<const T> b, std::span<T> y);
template <class T>
void rounded_divide(const Arithmetic& arithmetic, const ArithmeticContext& context,
                    std::span<const T> a, std::span<const T> b, std::span<T> y);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_ELEMENTWISE_H_
