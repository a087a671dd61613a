#include "tensorquant/arithmetic/layers/scaled_product.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "tensorquant/arithmetic/layers/offsets.h"
#include "tensorquant/arithmetic/layers/scaled_operand.h"
#include "tensorquant/arithmetic/layers/window.h"
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

// A tensor of matrices, along whose axis of taps products are added up.
template <class T>
struct ScaledMatrices {
  std::vector<T> q, scales;
  ScaledOperand<T> operand;  // of these
};
template <class T>
ScaledMatrices<T> scaled_matrices(Scaled format, const T* x, const Axis& taps, Context context) {
  Scale::Per& per = format.scale.per;
  if (per == Scale::Per::channel) per = Scale::Per::row;  // both are a scale for each line
  context.layout = {.channel = taps, .reduction = taps};
  const std::size_t size = taps.outer * taps.length * taps.inner;
  ScaledMatrices<T> matrices;
  matrices.q.resize(size);
  matrices.scales = split(format, std::span(x, size), std::span(matrices.q), context);
  matrices.operand = {.q = matrices.q,
                      .scales = matrices.scales,
                      .grouping = grouping(format.scale, size, context),
                      .min_exponent = smallest_normal_exponent(format.element)};
  return matrices;
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

template <class T>
SumPlan scaled_matrix_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                               const Quantizer& a_format, const Quantizer& b_format,
                               const MatrixProducts& shape, const T* a, const T* b, const T* bias,
                               T* y, RangeReport* report) {
  Arithmetic of_formats = arithmetic;
  of_formats.data_min_exponent = smallest_normal_exponent(a_format);
  of_formats.weight_min_exponent = smallest_normal_exponent(b_format);
  const auto size = [](std::vector<std::int64_t> sizes, std::int64_t lines) {
    sizes.push_back(lines);
    return static_cast<std::size_t>(volume("the matrices", sizes));
  };
  const auto taps = static_cast<std::size_t>(shape.taps);
  ScaledMatrices<T> data, weights;
  ScaledOperands<T> scaled;
  if (const Scaled* const format = scaled_format(a_format)) {
    const Axis axis = {.outer = size(shape.a_batch, shape.rows), .length = taps, .inner = 1};
    data = scaled_matrices(*format, a, axis, {context.seed, context.data_stream, context.step});
    a = data.q.data();
    scaled.data = &data.operand;
  }
  if (const Scaled* const format = scaled_format(b_format)) {
    const Axis axis = {.outer = size(shape.b_batch, 1),
                       .length = taps,
                       .inner = static_cast<std::size_t>(shape.columns)};
    weights =
        scaled_matrices(*format, b, axis, {context.seed, context.weight_stream, context.step});
    b = weights.q.data();
    scaled.weights = &weights.operand;
  }
  return matrix_products<T>(of_formats, context, shape, a, b, bias, y, report, nullptr, scaled);
}

#define TENSORQUANT_INSTANTIATE(T)                                                               \
  template ScaledMatrix<T> scaled_matrix(const Scaled&, std::span<const T>, const MatrixShape&,  \
                                         Context);                                               \
  template SumPlan scaled_matrix_product(                                                        \
      const Arithmetic&, const ArithmeticContext&, const Quantizer&, const Quantizer&,           \
      std::int64_t, std::int64_t, std::int64_t, const T*, const T*, const T*, T*, RangeReport*); \
  template SumPlan scaled_matrix_products(                                                       \
      const Arithmetic&, const ArithmeticContext&, const Quantizer&, const Quantizer&,           \
      const MatrixProducts&, const T*, const T*, const T*, T*, RangeReport*)
TENSORQUANT_INSTANTIATE(float);
TENSORQUANT_INSTANTIATE(double);
#undef TENSORQUANT_INSTANTIATE

}  // namespace tensorquant
