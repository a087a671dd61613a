// Matrix products, convolutions and average pools with every operation rounded.

#include "tensorquant/arithmetic/arithmetic.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "python/src/arrays.h"
#include "python/src/bindings.h"
#include "python/src/outer_pair.h"
#include "tensorquant/arithmetic/layers/operation.h"
#include "tensorquant/arithmetic/layers/scaled_product.h"
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
  std::shared_ptr<const Quantizer> data_format, weight_format;
};

// The arithmetic of operations that take no scales.
Arithmetic arithmetic_without_scales(const Setting& setting) {
  const auto min_exponent = [](const Quantizer& quantizer) {
    if (quantizer.format() != nullptr && std::holds_alternative<Scaled>(*quantizer.format())) {
      throw Error("'" + quantizer.spec() + "' has scales, which only matmul() takes from a format");
    }
    return smallest_normal_exponent(quantizer);
  };
  Arithmetic arithmetic = setting.arithmetic;
  arithmetic.data_min_exponent = min_exponent(*setting.data_format);
  arithmetic.weight_min_exponent = min_exponent(*setting.weight_format);
  return arithmetic;
}

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
        return scaled_matrix_product<T>(setting.arithmetic, setting.context, *setting.data_format,
                                        *setting.weight_format, rows, taps, columns, a.data(),
                                        b.data(), data_of(bias), y.data(), ranges);
      },
      "setting"_a, "a"_a.noconvert(), "b"_a.noconvert(), "bias"_a.noconvert().none(),
      "y"_a.noconvert(), "rows"_a, "taps"_a, "columns"_a, "ranges"_a.none(),
      nb::call_guard<nb::gil_scoped_release>());
  module.def(
      "matrix_products",
      [](const Setting& setting, const In<T>& a, const In<T>& b, const std::optional<In<T>>& bias,
         const Out<T>& y, RangeReport* ranges) {
        const auto a_shape = shape_of(a), b_shape = shape_of(b), y_shape = shape_of(y);
        const MatrixProducts shape = {.batch = {y_shape.begin(), y_shape.end() - 2},
                                      .a_batch = {a_shape.begin(), a_shape.end() - 2},
                                      .b_batch = {b_shape.begin(), b_shape.end() - 2},
                                      .rows = a_shape[a_shape.size() - 2],
                                      .taps = a_shape.back(),
                                      .columns = b_shape.back()};
        return scaled_matrix_products<T>(setting.arithmetic, setting.context, *setting.data_format,
                                         *setting.weight_format, shape, a.data(), b.data(),
                                         data_of(bias), y.data(), ranges);
      },
      "setting"_a, "a"_a.noconvert(), "b"_a.noconvert(), "bias"_a.noconvert().none(),
      "y"_a.noconvert(), "ranges"_a.none(), nb::call_guard<nb::gil_scoped_release>());
  module.def(
      "run_operation",
      [](const Setting& setting, const Operation& operation, const std::vector<TensorShape>& shapes,
         const std::vector<In<T>>& inputs, const Out<T>& y, RangeReport* ranges) {
        std::vector<const T*> data;
        for (const In<T>& input : inputs) data.push_back(input.data());
        return run_operation<T>(operation, arithmetic_without_scales(setting), setting.context,
                                shapes, data, y.data(), ranges);
      },
      "setting"_a, "operation"_a, "shapes"_a, "inputs"_a.noconvert(), "y"_a.noconvert(),
      "ranges"_a.none(), nb::call_guard<nb::gil_scoped_release>());
}

void bind_operations(nb::module_& module) {
  nb::class_<LinearOperation>(module, "LinearOperation").def(nb::init<>());
  nb::class_<MatrixProductOperation>(module, "MatrixProductOperation").def(nb::init<>());
  nb::class_<ConvolutionOperation>(module, "ConvolutionOperation")
      .def(nb::init<>())
      .def_rw("stride", &ConvolutionOperation::stride)
      .def_rw("dilation", &ConvolutionOperation::dilation)
      .def_rw("padding_begin", &ConvolutionOperation::padding_begin)
      .def_rw("padding_end", &ConvolutionOperation::padding_end)
      .def_rw("groups", &ConvolutionOperation::groups)
      .def_rw("is_transposed", &ConvolutionOperation::is_transposed)
      .def_rw("output_padding", &ConvolutionOperation::output_padding);
  nb::class_<AveragePoolOperation>(module, "AveragePoolOperation")
      .def(nb::init<>())
      .def_rw("kernel", &AveragePoolOperation::kernel)
      .def_rw("stride", &AveragePoolOperation::stride)
      .def_rw("padding_begin", &AveragePoolOperation::padding_begin)
      .def_rw("padding_end", &AveragePoolOperation::padding_end)
      .def_rw("count_include_pad", &AveragePoolOperation::count_include_pad)
      .def_rw("divisor", &AveragePoolOperation::divisor);
  module.def("result_shape", &result_shape, "operation"_a, "shapes"_a);
}

void bind_reports(nb::module_& module) {
  nb::class_<RangeReport>(module, "Ranges")
      .def(nb::init<>())
      .def_ro("products", &RangeReport::products)
      .def_ro("clamped_products", &RangeReport::clamped_products)
      .def_ro("sums", &RangeReport::sums)
      .def_ro("clamped_sums", &RangeReport::clamped_sums)
      .def_ro("largest_product", &RangeReport::largest_product)
      .def_ro("lowest_sum", &RangeReport::lowest_sum)
      .def_ro("highest_sum", &RangeReport::highest_sum)
      .def("merge", &RangeReport::merge, "other"_a)
      .def("sufficient_bits", &RangeReport::sufficient_bits, "fraction"_a)
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
  bind_operations(module);
  nb::class_<Setting>(module, "Setting")
      .def(
          "__init__",
          [](Setting* self, const Quantizer& product, const Quantizer& accumulator,
             const std::string& accumulate, const std::optional<OuterPair>& outer,
             const std::string& order, const std::shared_ptr<const Quantizer>& data_format,
             const std::shared_ptr<const Quantizer>& weight_format, std::uint64_t seed,
             std::uint32_t product_stream, std::uint32_t accumulator_stream, std::uint32_t step) {
            const Arithmetic arithmetic =
                make_arithmetic(product, accumulator, make_accumulate(accumulate),
                                outer_sum_of(outer), make_tap_order(order));
            new (self) Setting{arithmetic,
                               {seed, product_stream, accumulator_stream, step},
                               data_format,
                               weight_format};
          },
          "product"_a, "accumulator"_a, "accumulate"_a, "outer"_a.none(), "order"_a,
          "data_format"_a, "weight_format"_a, "seed"_a, "product_stream"_a, "accumulator_stream"_a,
          "step"_a);
  bind_calls<float>(module);
  bind_calls<double>(module);
}

}  // namespace tensorquant::python
