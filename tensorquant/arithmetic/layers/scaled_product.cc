#include "tensorquant/arithmetic/layers/scaled_product.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "tensorquant/arithmetic/layers/offsets.h"
#include "tensorquant/kernels/kernels.h"

namespace tensorquant {
namespace {

// Where the scales of a line's blocks lie among those of grouping().
template <class T>
void set_places(const Scale& scale, const MatrixShape& shape, ScaledMatrix<T>& matrix) {
  const bool has_rows = shape.lines == MatrixShape::Lines::rows;
  const std::int64_t taps = has_rows ? shape.columns : shape.rows;
  const bool has_blocks = scale.per == Scale::Per::block;
  matrix.block = std::max<std::int64_t>(has_blocks ? scale.block : taps, 1);
  if (scale.per == Scale::Per::tensor) return;
  matrix.stride = has_blocks && has_rows ? (taps + matrix.block - 1) / matrix.block : 1;
  matrix.step = has_rows ? 1 : shape.columns;
}

}  // namespace

Layout MatrixShape::layout() const {
  const auto m = static_cast<std::size_t>(rows), n = static_cast<std::size_t>(columns);
  const Axis first = {.outer = 1, .length = m, .inner = n};
  const Axis second = {.outer = m, .length = n, .inner = 1};
  return lines == Lines::rows ? Layout{.channel = first, .reduction = second}
                              : Layout{.channel = second, .reduction = first};
}

template <class T>
ScaledMatrix<T> scaled_matrix(const Scaled& format, std::span<const T> x, const MatrixShape& shape,
                              Context context) {
  context.layout = shape.layout();
  ScaledMatrix<T> matrix;
  matrix.q.resize(x.size());
  matrix.scales = split(format, x, std::span(matrix.q), context);
  set_places(format.scale, shape, matrix);
  matrix.min_exponent = smallest_normal_exponent(format.element);
  return matrix;
}

template <class T>
SumPlan scaled_matrix_product(const Arithmetic& arithmetic, const ArithmeticContext& context,
                              const Quantizer& a_format, const Quantizer& b_format,
                              std::int64_t rows, std::int64_t taps, std::int64_t columns,
                              const T* a, const T* b, const T* bias, T* y, RangeReport* report) {
  check_matrices(rows, taps, columns);
  Arithmetic of_formats = arithmetic;
  of_formats.data_min_exponent = smallest_normal_exponent(a_format);
  of_formats.weight_min_exponent = smallest_normal_exponent(b_format);
  MatrixScales<T> scales;
  ScaledMatrix<T> data, weights;
  if (const Scaled* const format = scaled_format(a_format)) {
    data = scaled_matrix(*format, span_of(a, rows * taps), {rows, taps, MatrixShape::Lines::rows},
                         {context.seed, context.data_stream, context.step});
    a = data.q.data();
    scales.data = data.scales_along_k();
    of_formats.data_min_exponent = data.min_exponent;
  }
  if (const Scaled* const format = scaled_format(b_format)) {
    weights = scaled_matrix(*format, span_of(b, taps * columns),
                            {taps, columns, MatrixShape::Lines::columns},
                            {context.seed, context.weight_stream, context.step});
    b = weights.q.data();
    scales.weights = weights.scales_along_k();
    of_formats.weight_min_exponent = weights.min_exponent;
  }
  return matrix_product<T>(of_formats, context, rows, taps, columns, a, b, bias, y, report, scales);
}

#define TENSORQUANT_INSTANTIATE(T)                                                              \
  template ScaledMatrix<T> scaled_matrix(const Scaled&, std::span<const T>, const MatrixShape&, \
                                         Context);                                              \
  template SumPlan scaled_matrix_product(                                                       \
      const Arithmetic&, const ArithmeticContext&, const Quantizer&, const Quantizer&,          \
      std::int64_t, std::int64_t, std::int64_t, const T*, const T*, const T*, T*, RangeReport*)
TENSORQUANT_INSTANTIATE(float);
TENSORQUANT_INSTANTIATE(double);
#undef TENSORQUANT_INSTANTIATE

}  // namespace tensorquant
