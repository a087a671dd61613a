// maps/assign.h for Python's front-ends.

#include "tensorquant/maps/assign.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "python/src/bindings.h"
#include "python/src/kind_of_layer.h"
#include "python/src/outer_pair.h"
#include "python/src/override_of.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tensorquant::python {
namespace {

// names, type, "rounded", "nothing" or "other", obstacle, kind
using LayerTuple =
    std::tuple<std::vector<std::string>, std::string, std::string, std::string, std::string>;

AssignableLayer::Arithmetic arithmetic_of(const std::string& word) {
  using enum AssignableLayer::Arithmetic;
  if (word == "rounded") return rounded;
  if (word == "nothing") return nothing;
  if (word == "other") return other;
  throw std::invalid_argument("arithmetic: expected 'rounded', 'nothing' or 'other'");
}

template <std::shared_ptr<const Quantizer> LayerQuantizers::*place>
std::shared_ptr<const Quantizer> quantizer_of(const LayerQuantizers& quantizers) {
  return quantizers.*place;
}

template <std::shared_ptr<const Quantizer> TrainingQuantizers::*place>
std::shared_ptr<const Quantizer> quantizer_in_training(const TrainingQuantizers& quantizers) {
  return quantizers.*place;
}

}  // namespace

void bind_assign(nb::module_& module) {
  nb::class_<Faults>(module, "Faults", "Everything that speaks against an override, for one error.")
      .def("add", &Faults::add, "reason"_a)
      .def("add_of_layer", &Faults::add_of_layer, "layer"_a, "reason"_a)
      .def("refuse", &Faults::refuse);
  nb::class_<LayerQuantizers>(module, "LayerQuantizers", "What the maps put into one layer.")
      .def_ro("layer", &LayerQuantizers::layer)
      .def_prop_ro("weight", &quantizer_of<&LayerQuantizers::weight>)
      .def_prop_ro("bias", &quantizer_of<&LayerQuantizers::bias>)
      .def_prop_ro("output", &quantizer_of<&LayerQuantizers::output>)
      .def_prop_ro("product", &quantizer_of<&LayerQuantizers::product>)
      .def_prop_ro("accumulator", &quantizer_of<&LayerQuantizers::accumulator>)
      .def_prop_ro(
          "accumulate",
          [](const LayerQuantizers& quantizers) { return to_string(quantizers.accumulate); })
      .def_prop_ro("outer",
                   [](const LayerQuantizers& quantizers) { return pair_of(quantizers.outer); })
      .def_prop_ro("order",
                   [](const LayerQuantizers& quantizers) { return to_string(quantizers.order); })
      .def_ro("rule", &LayerQuantizers::rule)
      .def_ro("intrinsic", &LayerQuantizers::intrinsic)
      .def_prop_ro("any", &LayerQuantizers::any);
  nb::class_<TrainingQuantizers>(module, "TrainingQuantizers",
                                 "What the maps put into the training of one layer.")
      .def_prop_ro("error", &quantizer_in_training<&TrainingQuantizers::error>)
      .def_prop_ro("weight_gradient", &quantizer_in_training<&TrainingQuantizers::weight_gradient>)
      .def_prop_ro("bias_gradient", &quantizer_in_training<&TrainingQuantizers::bias_gradient>)
      .def_prop_ro("state", &quantizer_in_training<&TrainingQuantizers::state>)
      .def_prop_ro("update", &quantizer_in_training<&TrainingQuantizers::update>)
      .def_prop_ro("states", [](const TrainingQuantizers& quantizers) { return quantizers.states; })
      .def_prop_ro("any", &TrainingQuantizers::any);
  module.def("is_bias", &is_bias, "parameter"_a,
             "Whether the parameter of that name is a bias to the weights map.");
  module.def(
      "assign",
      [](const Maps& given, bool strict, const std::vector<LayerTuple>& layers, bool has_input) {
        Override maps = override_of(given);
        maps.strict = strict;
        std::vector<AssignableLayer> all;
        for (const auto& [names, type, arithmetic, obstacle, kind] : layers) {
          all.push_back({names, type, arithmetic_of(arithmetic), obstacle, kind_of_layer(kind)});
        }
        Assignment found = assign(maps, all, has_input);
        return std::tuple(std::move(found.layers), std::move(found.training),
                          std::move(found.input), std::move(found.idle), std::move(found.faults));
      },
      "maps"_a, "strict"_a, "layers"_a, "has_input"_a,
      "Which quantizers each layer gets: LayerQuantizers and TrainingQuantizers of each, "
      "LayerQuantizers of the input, a message for each rule that does nothing, and Faults.");
}

}  // namespace tensorquant::python
