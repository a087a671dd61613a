#include "tensorquant/arithmetic/layers/matrix_product.h"

#include <algorithm>
#include <string>
#include <utility>

#include "tensorquant/arithmetic/layers/offsets.h"
#include "tensorquant/arithmetic/layers/scaled_operand.h"
#include "tensorquant/arithmetic/layers/window.h"
#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using Sizes = std::vector<std::int64_t>;

// Rows and columns are alike but that SIMD lanes are columns: the longer side should be those.
template <class T>
void swap_if_tall(SumsOfProducts<T>& sums) {
  if (sums.rows.size() <= sums.columns.size()) return;
  std::swap(sums.a, sums.b);
  std::swap(sums.rows, sums.columns);
  std::swap(sums.row_bias, sums.column_bias);
}

template <class T>
void check_scales(const ScalesAlongK<T>& scales, const std::string& what, std::int64_t lines,
                  std::int64_t taps) {
  if (scales.values.empty()) return;
  if (scales.block < 1) throw Error(what + ": a block must have 1 number or more");
  const std::int64_t blocks = taps == 0 ? 0 : (taps - 1) / scales.block + 1;
  // One behind the last scale.
  const std::int64_t end =
      lines == 0 || blocks == 0 ? 0 : (lines - 1) * scales.stride + (blocks - 1) * scales.step + 1;
  if (scales.stride < 0 || scales.step < 0 ||
      end > static_cast<std::int64_t>(scales.values.size())) {
    throw Error(what + ": expected " + std::to_string(end) + " numbers, found " +
                std::to_string(scales.values.size()));
  }
}

template <class T>
void check_scales(const MatrixScales<T>& scales, std::int64_t rows, std::int64_t taps,
                  std::int64_t columns) {
  check_scales(scales.data, "the data's scales", rows, taps);
  check_scales(scales.weights, "the weights' scales", columns, taps);
}

template <class T>
void set_scales(const ScalesAlongK<T>& scales, Factor<T>& factor) {
  if (scales.values.empty()) return;
  factor.scales = Scales<T>{
      scales.values, multiples(static_cast<std::int64_t>(factor.lines.size()), scales.stride),
      multiples(static_cast<std::int64_t>(factor.taps.size()), 1)};
  for (std::int64_t& tap : factor.scales->taps) tap = tap / scales.block * scales.step;
}

// Where a size is 0 the others may be any, of which no list has to be made.
SumPlan of_no_output() {
  SumPlan plan;
  plan.reason = "there is no output";
  return plan;
}

// Where the matrices of a batch begin in a tensor of these sizes before its last two.
Sizes matrix_offsets(const Sizes& batch, const Sizes& own, std::int64_t size) {
  Sizes strides(batch.size(), 0);
  std::int64_t stride = size;
  for (std::size_t d = own.size(); d-- > 0;) {
    if (own[d] != 1) strides[d + batch.size() - own.size()] = stride;
    stride *= own[d];
  }
  return points(batch, Sizes(batch.size(), 1), strides);
}

}  // namespace

void check_matrices(std::int64_t rows, std::int64_t taps, std::int64_t columns) {
  volume("the first matrix", Sizes{rows, taps});
  volume("the second matrix", Sizes{taps, columns});
  volume("the output", Sizes{rows, columns});
}

template <class T>
SumPlan matrix_product(const Arithmetic& arithmetic, const ArithmeticContext& context,
                       std::int64_t rows, std::int64_t taps, std::int64_t columns, const T* a,
                       const T* b, const T* bias, T* y, RangeReport* report,
                       const MatrixScales<T>& scales) {
  check_matrices(rows, taps, columns);
  check_scales(scales, rows, taps, columns);
  if (rows == 0 || columns == 0) return of_no_output();
  SumsOfProducts<T> sums;
  sums.a = {span_of(a, rows * taps), multiples(rows, taps), multiples(taps, 1)};
  sums.b = {span_of(b, taps * columns), multiples(columns, 1), multiples(taps, columns)};
  set_min_exponents(arithmetic, sums.a, sums.b);
  set_scales(scales.data, sums.a);
  set_scales(scales.weights, sums.b);
  sums.column_bias = bias;
  sums.y = y;
  sums.rows = multiples(rows, columns);
  sums.columns = multiples(columns, 1);
  swap_if_tall(sums);
  return sums_of_products(arithmetic, context, sums, report);
}

template <class T>
SumPlan linear(const Arithmetic& arithmetic, const ArithmeticContext& context, std::int64_t batch,
               std::int64_t inputs, std::int64_t outputs, const T* x, const T* w, const T* bias,
               T* y, RangeReport* report, bool* outside, const MatrixScales<T>& scales) {
  check_matrices(batch, inputs, outputs);
  check_scales(scales, batch, inputs, outputs);
  if (batch == 0 || outputs == 0) return of_no_output();
  SumsOfProducts<T> sums;
  sums.a = {span_of(w, outputs * inputs), multiples(outputs, inputs), multiples(inputs, 1)};
  sums.b = {span_of(x, batch * inputs), multiples(batch, inputs), multiples(inputs, 1)};
  set_min_exponents(arithmetic, sums.b, sums.a);
  set_scales(scales.weights, sums.a);
  set_scales(scales.data, sums.b);
  sums.row_bias = bias;
  sums.y = y;
  sums.outside = outside;
  sums.rows = multiples(outputs, 1);
  sums.columns = multiples(batch, outputs);
  swap_if_tall(sums);
  return sums_of_products(arithmetic, context, sums, report);
}

template <class T>
SumPlan matrix_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                        const MatrixProducts& shape, const T* a, const T* b, const T* bias, T* y,
                        RangeReport* report, bool* outside, const ScaledOperands<T>& scaled) {
  const Arithmetic of_these = of_elements(arithmetic, scaled);
  const std::int64_t rows = shape.rows, taps = shape.taps, columns = shape.columns;
  const std::int64_t a_size = volume("the first matrix", Sizes{rows, taps});
  const std::int64_t b_size = volume("the second matrix", Sizes{taps, columns});
  const std::int64_t y_size = volume("a result", Sizes{rows, columns});
  if (y_size == 0 || std::ranges::find(shape.batch, 0) != shape.batch.end()) return of_no_output();
  const Sizes a_offsets = matrix_offsets(shape.batch, shape.a_batch, a_size);
  const Sizes b_offsets = matrix_offsets(shape.batch, shape.b_batch, b_size);
  SumPlan plan;
  for (std::size_t i = 0; i < a_offsets.size(); ++i) {
    SumsOfProducts<T> sums;
    sums.a = {span_of(a + a_offsets[i], a_size), multiples(rows, taps), multiples(taps, 1)};
    sums.b = {span_of(b + b_offsets[i], b_size), multiples(columns, 1), multiples(taps, columns)};
    set_min_exponents(of_these, sums.a, sums.b);
    if (scaled.data != nullptr) {
      sums.a.scales = scales_of_factor("the first matrices' scales", *scaled.data, a_offsets[i],
                                       sums.a.lines, sums.a.taps);
    }
    if (scaled.weights != nullptr) {
      sums.b.scales = scales_of_factor("the second matrices' scales", *scaled.weights, b_offsets[i],
                                       sums.b.lines, sums.b.taps);
    }
    sums.column_bias = bias;
    sums.y = y;
    sums.outside = outside;
    sums.rows = multiples(rows, columns);
    for (std::int64_t& row : sums.rows) row += static_cast<std::int64_t>(i) * y_size;
    sums.columns = multiples(columns, 1);
    swap_if_tall(sums);
    const SumPlan its = sums_of_products(of_these, context, sums, report);
    if (i == 0) plan = its;
  }
  return plan;
}

#define TENSORQUANT_INSTANTIATE(T)                                                                 \
  template SumPlan matrix_product(const Arithmetic&, const ArithmeticContext&, std::int64_t,       \
                                  std::int64_t, std::int64_t, const T*, const T*, const T*, T*,    \
                                  RangeReport*, const MatrixScales<T>&);                           \
  template SumPlan linear(const Arithmetic&, const ArithmeticContext&, std::int64_t, std::int64_t, \
                          std::int64_t, const T*, const T*, const T*, T*, RangeReport*, bool*,     \
                          const MatrixScales<T>&);                                                 \
  template SumPlan matrix_products(const Arithmetic&, const ArithmeticContext&,                    \
                                   const MatrixProducts&, const T*, const T*, const T*, T*,        \
                                   RangeReport*, bool*, const ScaledOperands<T>&)
TENSORQUANT_INSTANTIATE(float);
TENSORQUANT_INSTANTIATE(double);
#undef TENSORQUANT_INSTANTIATE

}  // namespace tensorquant
