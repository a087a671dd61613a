// Matrix products, convolutions and average pools with every operation rounded.

#include "tensorquant/arithmetic/arithmetic.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "python/src/arrays.h"
#include "python/src/bindings.h"
#include "tensorquant/arithmetic/layers/average_pool.h"
#include "tensorquant/arithmetic/layers/convolution.h"
#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/base/error.h"
#include "tensorquant/quantizers/accumulate.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tensorquant::python {
namespace {

// How to compute, and where random rounding takes its numbers from.
struct Setting {
  Arithmetic arithmetic;
  ArithmeticContext context;
};

template <class T>
const T* data_of(const std::optional<In<T>>& array) {
  return array ? array->data() : nullptr;
}

template <class T>
void bind_calls(nb::module_& module) {
  module.def(
      "matrix_product",
      [](const Setting& setting, const In<T>& a, const In<T>& b, const std::optional<In<T>>& bias,
         const Out<T>& y, std::int64_t rows, std::int64_t taps, std::int64_t columns,
         RangeReport* ranges) {
        return matrix_product<T>(setting.arithmetic, setting.context, rows, taps, columns, a.data(),
                                 b.data(), data_of(bias), y.data(), ranges);
      },
      "setting"_a, "a"_a.noconvert(), "b"_a.noconvert(), "bias"_a.noconvert().none(),
      "y"_a.noconvert(), "rows"_a, "taps"_a, "columns"_a, "ranges"_a.none(),
      nb::call_guard<nb::gil_scoped_release>());
  module.def(
      "convolve",
      [](const Setting& setting, const Convolution& shape, const In<T>& x, const In<T>& w,
         const std::optional<In<T>>& bias, const Out<T>& y, RangeReport* ranges) {
        return convolve<T>(setting.arithmetic, setting.context, shape, x.data(), w.data(),
                           data_of(bias), y.data(), ranges);
      },
      "setting"_a, "shape"_a, "x"_a.noconvert(), "w"_a.noconvert(), "bias"_a.noconvert().none(),
      "y"_a.noconvert(), "ranges"_a.none(), nb::call_guard<nb::gil_scoped_release>());
  module.def(
      "average_pool",
      [](const Setting& setting, const AveragePoolShape& shape, const In<T>& x, const Out<T>& y,
         RangeReport* ranges) {
        average_pool<T>(setting.arithmetic, setting.context, average_pool_of(shape), x.data(),
                        y.data(), ranges);
      },
      "setting"_a, "shape"_a, "x"_a.noconvert(), "y"_a.noconvert(), "ranges"_a.none(),
      nb::call_guard<nb::gil_scoped_release>());
}

void bind_shapes(nb::module_& module) {
  nb::class_<Convolution>(module, "Convolution")
      .def(nb::init<>())
      .def_rw("batch", &Convolution::batch)
      .def_rw("in_channels", &Convolution::in_channels)
      .def_rw("out_channels", &Convolution::out_channels)
      .def_rw("groups", &Convolution::groups)
      .def_rw("input", &Convolution::input)
      .def_rw("kernel", &Convolution::kernel)
      .def_rw("stride", &Convolution::stride)
      .def_rw("dilation", &Convolution::dilation)
      .def_rw("padding", &Convolution::padding)
      .def_rw("padding_end", &Convolution::padding_end)
      .def_rw("is_transposed", &Convolution::is_transposed)
      .def_rw("output_padding", &Convolution::output_padding)
      .def("output", &Convolution::output);
  nb::class_<AveragePoolShape>(module, "AveragePoolShape")
      .def(nb::init<>())
      .def_rw("planes", &AveragePoolShape::planes)
      .def_rw("input", &AveragePoolShape::input)
      .def_rw("kernel", &AveragePoolShape::kernel)
      .def_rw("stride", &AveragePoolShape::stride)
      .def_rw("padding", &AveragePoolShape::padding)
      .def_rw("padding_end", &AveragePoolShape::padding_end)
      .def_rw("count_include_pad", &AveragePoolShape::count_include_pad)
      .def_rw("divisor", &AveragePoolShape::divisor)
      .def("output", &AveragePoolShape::output);
}

void bind_reports(nb::module_& module) {
  nb::class_<RangeReport>(module, "Ranges",
                          R"(What products and sums have needed: pass one as ranges= to matmul(),
convolve() or average_pool(), to as many calls as you like. It counts on. Numbers that are not
finite do not count.

Example:
    >>> import numpy as np
    >>> import tensorquant as tq
    >>> ranges = tq.Ranges()
    >>> a = np.full((1, 4), 3, np.float32)
    >>> tq.matmul(a, a.T, product="nearest,8,0", accumulator="nearest,5,0", ranges=ranges)
    array([[15.]], dtype=float32)
    >>> ranges.clamped_sums, ranges.sums
    (3, 4)
    >>> ranges.sufficient_bits(0)
    7
)")
      .def(nb::init<>())
      .def_ro("products", &RangeReport::products, "How many products were rounded.")
      .def_ro("clamped_products", &RangeReport::clamped_products,
              "How many of them lay beyond the product format's ends.")
      .def_ro("sums", &RangeReport::sums, "How many sums were rounded.")
      .def_ro("clamped_sums", &RangeReport::clamped_sums,
              "How many of them lay beyond the accumulator format's ends.")
      .def_ro("largest_product", &RangeReport::largest_product,
              "The largest magnitude of a product, before it was rounded.")
      .def_ro("lowest_sum", &RangeReport::lowest_sum,
              "The lowest running sum of the rounded products, without the accumulator's rounding.")
      .def_ro("highest_sum", &RangeReport::highest_sum, "The highest.")
      .def("merge", &RangeReport::merge, "other"_a, "Adds what another one has counted.")
      .def("sufficient_bits", &RangeReport::sufficient_bits, "fraction"_a,
           "The bits of a fixed-point accumulator with this fraction that none of the sums leaves.")
      .def("__repr__", [](const RangeReport& r) {
        return nb::str("<Ranges: {} of {} products and {} of {} sums clamped>")
            .format(r.clamped_products, r.products, r.clamped_sums, r.sums);
      });
  nb::class_<SumPlan>(module, "Plan")
      .def_prop_ro("kernel", [](const SumPlan& plan) { return to_string(plan.kernel); })
      .def_ro("clamps_products", &SumPlan::clamps_products)
      .def_ro("clamps_sums", &SumPlan::clamps_sums)
      .def_ro("rounds_sums", &SumPlan::rounds_sums)
      .def_ro("reason", &SumPlan::reason);
}

}  // namespace

void bind_arithmetic(nb::module_& module) {
  bind_reports(module);
  bind_shapes(module);
  nb::class_<Setting>(module, "Setting")
      .def(
          "__init__",
          [](Setting* self, const Quantizer& product, const Quantizer& accumulator,
             const std::string& accumulate, std::uint64_t seed, std::uint32_t product_stream,
             std::uint32_t accumulator_stream, std::uint32_t step) {
            new (self) Setting{make_arithmetic(product, accumulator, make_accumulate(accumulate)),
                               {seed, product_stream, accumulator_stream, step}};
          },
          "product"_a, "accumulator"_a, "accumulate"_a, "seed"_a, "product_stream"_a,
          "accumulator_stream"_a, "step"_a);
  bind_calls<float>(module);
  bind_calls<double>(module);
}

}  // namespace tensorquant::python
