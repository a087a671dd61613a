// Quantizers: strings to quantizers, and arrays through them.

#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <tuple>

#include "python/src/arrays.h"
#include "python/src/axes.h"
#include "python/src/bindings.h"
#include "python/src/python_quantizer.h"
#include "tensorquant/formats/format.h"
#include "tensorquant/quantizers/half_precision.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/quantizer_report.h"
#include "tensorquant/quantizers/registry.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tensorquant::python {
namespace {

using Class = nb::class_<Quantizer>;

// The fields of Report in Python.
auto fields_of(const QuantizerReport& r) {
  const auto extreme = [&r](double x) { return r.values > 0 ? std::optional(x) : std::nullopt; };
  return std::tuple(r.values, r.nonzero, r.saturated, r.saturated_share(), r.became_zero,
                    r.became_zero_share(), extreme(r.lowest), extreme(r.highest),
                    r.storage ? r.storage->bits_per_value() : std::nullopt);
}

template <class T>
void bind_calls(Class& bound) {
  bound.def(
      "quantize",
      [](const Quantizer& q, const In<T>& x, const Out<T>& y, std::uint64_t seed,
         std::uint32_t stream, std::uint32_t step, const Axes& axes) {
        q.quantize(span_of(x), span_of(y), {seed, stream, step, layout_of(axes, shape_of(x))});
      },
      "x"_a.noconvert(), "y"_a.noconvert(), "seed"_a, "stream"_a, "step"_a, "axes"_a,
      nb::call_guard<nb::gil_scoped_release>());
  bound.def(
      "report",
      [](const Quantizer& q, const In<T>& x, std::uint64_t seed, std::uint32_t stream,
         std::uint32_t step, const Axes& axes) {
        return report_of(q, span_of(x), {seed, stream, step, layout_of(axes, shape_of(x))});
      },
      "x"_a.noconvert(), "seed"_a, "stream"_a, "step"_a, "axes"_a,
      nb::call_guard<nb::gil_scoped_release>());
  bound.def(
      "gradient",
      [](const Quantizer& q, const In<T>& x, const In<T>& y, const In<T>& dy, const Out<T>& dx,
         const Axes& axes) {
        q.gradient(span_of(x), span_of(y), span_of(dy), span_of(dx),
                   {.layout = layout_of(axes, shape_of(x))});
      },
      "x"_a.noconvert(), "y"_a.noconvert(), "dy"_a.noconvert(), "dx"_a.noconvert(), "axes"_a,
      nb::call_guard<nb::gil_scoped_release>());
}

template <class Half>
void bind_half_calls(Class& bound, const char* quantize_name, const char* report_name,
                     const char* gradient_name) {
  using Bits = std::uint16_t;
  bound.def(
      quantize_name,
      [](const Quantizer& q, const In<Bits>& x, const Out<Bits>& y, std::uint64_t seed,
         std::uint32_t stream, std::uint32_t step, const Axes& axes) {
        quantize(q, halves_of<Half>(x), halves_of<Half>(y),
                 {seed, stream, step, layout_of(axes, shape_of(x))});
      },
      "x"_a.noconvert(), "y"_a.noconvert(), "seed"_a, "stream"_a, "step"_a, "axes"_a,
      nb::call_guard<nb::gil_scoped_release>());
  bound.def(
      report_name,
      [](const Quantizer& q, const In<Bits>& x, std::uint64_t seed, std::uint32_t stream,
         std::uint32_t step, const Axes& axes) {
        return report_of(q, halves_of<Half>(x), {seed, stream, step, layout_of(axes, shape_of(x))});
      },
      "x"_a.noconvert(), "seed"_a, "stream"_a, "step"_a, "axes"_a,
      nb::call_guard<nb::gil_scoped_release>());
  bound.def(
      gradient_name,
      [](const Quantizer& q, const In<Bits>& x, const In<Bits>& y, const In<Bits>& dy,
         const Out<Bits>& dx, const Axes& axes) {
        gradient(q, halves_of<Half>(x), halves_of<Half>(y), halves_of<Half>(dy),
                 halves_of<Half>(dx), {.layout = layout_of(axes, shape_of(x))});
      },
      "x"_a.noconvert(), "y"_a.noconvert(), "dy"_a.noconvert(), "dx"_a.noconvert(), "axes"_a,
      nb::call_guard<nb::gil_scoped_release>());
}

template <class Half>
bool fits_in(const Quantizer& q) {
  return q.format() == nullptr || fits(*q.format(), format_of<Half>());
}

}  // namespace

void bind_quantizers(nb::module_& module) {
  nb::class_<QuantizerReport>(module, "QuantizerReport", "How a quantizer has fitted numbers.")
      .def("merge", &QuantizerReport::merge, "other"_a)
      .def("fields", &fields_of);
  Class bound(module, "Quantizer", "A quantizer of the core.");
  bound.def_prop_ro("spec", &Quantizer::spec)
      .def_prop_ro("is_random", &Quantizer::is_random)
      .def_prop_ro("is_straight_through", &Quantizer::is_straight_through)
      .def_prop_ro("needs_layout", &Quantizer::needs_layout)
      .def_prop_ro("needs_channels", &needs_channels)
      .def_prop_ro("fits_float16", &fits_in<Float16>)
      .def_prop_ro("fits_bfloat16", &fits_in<BFloat16>)
      .def_prop_ro(
          "python_object",
          [](const Quantizer& q) -> nb::object {
            const auto* own = dynamic_cast<const PythonQuantizer*>(&q);
            return own == nullptr || !own->object() ? nb::none() : nb::borrow(own->object());
          },
          "The object of Python behind it, or None.")
      .def(
          "facts",
          [](const Quantizer& q) -> nb::object {
            if (q.format() == nullptr) return nb::none();
            const FormatFacts f = facts<double>(*q.format());
            return nb::cast(std::tuple(f.lowest, f.highest, f.smallest_positive, f.step, f.count));
          },
          "lowest, highest, smallest_positive, step, count; None for a user's own quantizer.")
      .def(
          "values",
          [](const Quantizer& q, std::size_t at_most) {
            return q.format() == nullptr ? std::vector<double>()
                                         : values<double>(*q.format(), at_most);
          },
          "at_most"_a);
  bind_calls<float>(bound);
  bind_calls<double>(bound);
  bind_half_calls<Float16>(bound, "quantize_float16", "report_float16", "gradient_float16");
  bind_half_calls<BFloat16>(bound, "quantize_bfloat16", "report_bfloat16", "gradient_bfloat16");

  module.def("make_quantizer", &make_quantizer, "spec"_a);
  module.def(
      "python_quantizer",
      [](nb::object quantizer) -> std::shared_ptr<const Quantizer> {
        return std::make_shared<PythonQuantizer>(std::move(quantizer));
      },
      "quantizer"_a);
  module.def("release_python_quantizers", &PythonQuantizer::release_all);
  module.def(
      "register_quantizer",
      [](const std::string& name, const std::string& usage, const std::string& summary) {
        register_quantizer(name, usage, summary, make_registered);
      },
      "name"_a, "usage"_a, "summary"_a);
  module.def("list_quantizers", [] {
    std::vector<std::tuple<std::string, std::string, std::string>> lines;
    for (const QuantizerInfo& q : list_quantizers()) lines.emplace_back(q.name, q.usage, q.summary);
    return lines;
  });
}

}  // namespace tensorquant::python
