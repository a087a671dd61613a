#ifndef TENSORQUANT_ARITHMETIC_LAYERS_ADD_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_ADD_H_

#include <cstdint>
#include <span>

#include "tensorquant/arithmetic/arithmetic.h"

namespace tensorquant {

// y = A(a + b). All have one size; y may be a or b.
template <class T>
void rounded_add(const Arithmetic& arithmetic, const ArithmeticContext& context,
                 std::span<const T> a, std::span<const T> b, std::span<T> y,
                 RangeReport* report = nullptr, bool* outside = nullptr);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_ADD_H_
