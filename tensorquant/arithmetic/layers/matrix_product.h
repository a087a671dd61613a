#ifndef TENSORQUANT_ARITHMETIC_LAYERS_MATRIX_PRODUCT_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_MATRIX_PRODUCT_H_

#include <cstdint>

#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// y (rows, columns) from a (rows, taps), b (taps, columns) and a bias for each column or null.
template <class T>
SumPlan matrix_product(const Arithmetic& arithmetic, const ArithmeticContext& context,
                       std::int64_t rows, std::int64_t taps, std::int64_t columns, const T* a,
                       const T* b, const T* bias, T* y, RangeReport* report = nullptr);

// y (batch, outputs) from x (batch, inputs), w (outputs, inputs) and a bias for each output or
// null.
template <class T>
SumPlan linear(const Arithmetic& arithmetic, const ArithmeticContext& context, std::int64_t batch,
               std::int64_t inputs, std::int64_t outputs, const T* x, const T* w, const T* bias,
               T* y, RangeReport* report = nullptr, bool* outside = nullptr);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_MATRIX_PRODUCT_H_
