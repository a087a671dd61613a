#ifndef TENSORQUANT_ARITHMETIC_LAYERS_SCALED_PRODUCT_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_SCALED_PRODUCT_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// A matrix in C order whose lines, along which products are added up, are its rows or its columns.
struct MatrixShape {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  enum class Lines { rows, columns } lines = Lines::rows;

  // The lines are channels; blocks run along them.
  Layout layout() const;
};

// A matrix as arithmetic sees it: number k of line i is q times a scale.
template <class T>
struct ScaledMatrix {
  std::vector<T> q;  // where the matrix has its own numbers
  std::vector<T> scales;
  std::int64_t block = 1, stride = 0, step = 1;
  std::optional<int> min_exponent = {};  // of q: see smallest_normal_exponent()

  ScalesAlongK<T> scales_along_k() const { return {scales, block, stride, step}; }
};
// The factors of what the format makes of x.
template <class T>
ScaledMatrix<T> scaled_matrix(const Scaled& format, std::span<const T> x, const MatrixShape& shape,
                              Context context = {});

// matrix_product() of a and b in these formats. One with scales quantizes its matrix, at random
// with the context's data_stream or weight_stream. Of any other the matrix has the values already:
// it stays as it is, and only the arithmetic's smallest exponent is the format's.
template <class T>
SumPlan scaled_matrix_product(const Arithmetic& arithmetic, const ArithmeticContext& context,
                              const Quantizer& a_format, const Quantizer& b_format,
                              std::int64_t rows, std::int64_t taps, std::int64_t columns,
                              const T* a, const T* b, const T* bias, T* y,
                              RangeReport* report = nullptr);

// The same of the matrices of a batch. A scale for a row or a channel is one for each line of each
// matrix, one for the tensor is that of the whole batch, and a number's index at random is the one
// in the whole batch.
template <class T>
SumPlan scaled_matrix_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                               const Quantizer& a_format, const Quantizer& b_format,
                               const MatrixProducts& shape, const T* a, const T* b, const T* bias,
                               T* y, RangeReport* report = nullptr);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_SCALED_PRODUCT_H_
