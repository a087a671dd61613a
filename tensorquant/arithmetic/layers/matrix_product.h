#ifndef TENSORQUANT_ARITHMETIC_LAYERS_MATRIX_PRODUCT_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_MATRIX_PRODUCT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// The scales of a matrix's lines, along which products are added up: number k of line i stands for
// values[i * stride + k / block * step] times itself. So {s, K, 0} is a scale for all, {s, K, 1}
// one for each line, {s, 32, (K + 31) / 32} one for each 32 numbers of a line. No values: 1.
template <class T>
struct ScalesAlongK {
  std::span<const T> values = {};
  std::int64_t block = 1;   // 1 or more
  std::int64_t stride = 0;  // between the scales of neighbouring lines
  std::int64_t step = 1;    // between those of neighbouring blocks of a line
};
template <class T>
struct MatrixScales {
  ScalesAlongK<T> data = {}, weights = {};
};

// Throws an Error for sizes that make no sense.
void check_matrices(std::int64_t rows, std::int64_t taps, std::int64_t columns);

// y (rows, columns) from the data a (rows, taps), the weights b (taps, columns) and a bias for each
// column or null. Throws an Error for scales that are too few.
template <class T>
SumPlan matrix_product(const Arithmetic& arithmetic, const ArithmeticContext& context,
                       std::int64_t rows, std::int64_t taps, std::int64_t columns, const T* a,
                       const T* b, const T* bias, T* y, RangeReport* report = nullptr,
                       const MatrixScales<T>& scales = {});

// y (batch, outputs) from x (batch, inputs), w (outputs, inputs) and a bias for each output or
// null. Throws an Error for scales that are too few.
template <class T>
SumPlan linear(const Arithmetic& arithmetic, const ArithmeticContext& context, std::int64_t batch,
               std::int64_t inputs, std::int64_t outputs, const T* x, const T* w, const T* bias,
               T* y, RangeReport* report = nullptr, bool* outside = nullptr,
               const MatrixScales<T>& scales = {});

template <class T>
struct ScaledOperands;  // scaled_operand.h

// Matrices of a batch: those of `a` and `b` have their own sizes before their last two, which
// `batch` broadcasts.
struct MatrixProducts {
  std::vector<std::int64_t> batch, a_batch, b_batch;
  std::int64_t rows = 0, taps = 0, columns = 0;
};

// y (batch..., rows, columns) from a (a_batch..., rows, taps), b (b_batch..., taps, columns) and a
// bias for each column or null; with scaled operands, a the data and b the weights, from their
// elements. Throws an Error for scales that change with both the line of a matrix and the tap.
template <class T>
SumPlan matrix_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                        const MatrixProducts& shape, const T* a, const T* b, const T* bias, T* y,
                        RangeReport* report, bool* outside, const ScaledOperands<T>& scaled);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_MATRIX_PRODUCT_H_
