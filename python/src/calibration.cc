// Calibration: what range the scale of a tensor has to cover.

#include "tensorquant/calibration/calibrator.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "python/src/arrays.h"
#include "python/src/bindings.h"
#include "tensorquant/calibration/calibrated.h"
#include "tensorquant/quantizers/half_precision.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tensorquant::python {
namespace {

using Class = nb::class_<Calibrator>;

template <class T>
void bind_observe(Class& bound) {
  bound.def(
      "observe", [](Calibrator& c, const In<T>& x) { c.observe(span_of(x)); }, "x"_a.noconvert(),
      nb::call_guard<nb::gil_scoped_release>());
}

template <class Half>
void bind_half_observe(Class& bound, const char* name) {
  bound.def(
      name,
      [](Calibrator& c, const In<std::uint16_t>& x) {
        const std::span<const Half> halves = halves_of<Half>(x);
        std::vector<float> floats(halves.size());
        to_float(halves, std::span<float>(floats));
        c.observe(std::span<const float>(floats));
      },
      "x"_a.noconvert(), nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace

void bind_calibration(nb::module_& module) {
  Class bound(module, "Calibrator", "What a tensor's numbers leave behind for a method.");
  bound
      .def(
          "__init__",
          [](Calibrator* c, std::string_view method) {
            new (c) Calibrator(make_calibration_method(method));
          },
          "method"_a)
      .def_prop_ro("method", [](const Calibrator& c) { return to_string(c.method()); })
      .def_prop_ro("passes", [](const Calibrator& c) { return c.method().passes(); })
      .def_prop_ro("finds_range", [](const Calibrator& c) { return c.method().finds_range(); })
      .def_prop_ro(
          "counts",
          [](const Calibrator& c) {
            const Summary& s = c.summary();
            return std::tuple(s.finite, s.nan, s.infinite);
          },
          "How many numbers were finite, NaN, infinite.")
      .def("end_batch", &Calibrator::end_batch)
      .def("begin_second_pass", &Calibrator::begin_second_pass)
      .def(
          "check_element",
          [](const Calibrator& c, const Quantizer& element, const std::string& what) {
            check_element(c.method(), element, what);
          },
          "element"_a, "what"_a)
      .def(
          "range",
          [](const Calibrator& c, const std::string& what) {
            const ValueRange range = c.range(what);
            return std::tuple(range.low, range.high);
          },
          "what"_a, nb::call_guard<nb::gil_scoped_release>())
      .def("amax", &Calibrator::amax, "element"_a, "what"_a,
           nb::call_guard<nb::gil_scoped_release>())
      .def(
          "check_calibration",
          [](const Calibrator& c, const Quantizer& quantizer, const std::string& what) {
            check_calibration(c.method(), quantizer, what);
          },
          "quantizer"_a, "what"_a)
      .def(
          "calibrated",
          [](const Calibrator& c, const Quantizer& quantizer, const std::string& what) {
            return calibrated(quantizer, c, what);
          },
          "quantizer"_a, "what"_a,
          "The quantizer with numbers in place of its rule; None where there were only zeros.");
  bind_observe<float>(bound);
  bind_observe<double>(bound);
  bind_half_observe<Float16>(bound, "observe_float16");
  bind_half_observe<BFloat16>(bound, "observe_bfloat16");

  module.def("can_be_calibrated", &can_be_calibrated, "quantizer"_a,
             "Whether it finds one scale in a whole tensor, for which a number can stand.");
  module.def("calibration_methods", [] {
    const auto names = calibration_method_names();
    return std::vector<std::string>(names.begin(), names.end());
  });
}

}  // namespace tensorquant::python
