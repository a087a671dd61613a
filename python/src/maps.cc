// Quantizer maps, the three-in-one override, and which rule hits what.

#include "tensorquant/maps/quantizer_map.h"

#include <nanobind/operators.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "python/src/bindings.h"
#include "python/src/kind_of_layer.h"
#include "python/src/outer_pair.h"
#include "python/src/override_of.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/quantizers/hardware.h"
#include "tensorquant/quantizers/spec_error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tensorquant::python {
namespace {

using QuantizerPointer = std::shared_ptr<const Quantizer>;

MapKind kind_of(const std::string& name) {
  for (const MapKind kind : kMapKinds) {
    if (to_string(kind) == name) return kind;
  }
  throw Error(
      "a map's kind is 'weights', 'extrinsic', 'intrinsic', 'gradients' or 'optimizer', not '" +
      name + "'");
}

// A place in a rule that holds a quantizer.
template <QuantizerPointer RuleValue::*part>
QuantizerPointer part_of(const Rule& rule) {
  return rule.value.*part;
}

std::optional<Rule> copy_of(const Rule* rule) {
  return rule == nullptr ? std::nullopt : std::optional(*rule);
}

void bind_rule(nb::module_& module) {
  nb::class_<Rule>(module, "Rule", "A rule of a map.")
      .def_prop_ro("key", [](const Rule& rule) { return rule.pattern.key(); })
      .def_prop_ro("weight", &part_of<&RuleValue::weight>)
      .def_prop_ro("bias", &part_of<&RuleValue::bias>)
      .def_prop_ro("output", &part_of<&RuleValue::output>)
      .def_prop_ro("product", &part_of<&RuleValue::product>)
      .def_prop_ro("accumulator", &part_of<&RuleValue::accumulator>)
      .def_prop_ro("error", &part_of<&RuleValue::error>)
      .def_prop_ro("weight_gradient", &part_of<&RuleValue::weight_gradient>)
      .def_prop_ro("bias_gradient", &part_of<&RuleValue::bias_gradient>)
      .def_prop_ro("state", &part_of<&RuleValue::state>)
      .def_prop_ro("update", &part_of<&RuleValue::update>)
      .def_prop_ro("states", [](const Rule& rule) { return rule.value.states; })
      .def_prop_ro("accumulate", [](const Rule& rule) { return to_string(rule.value.accumulate); })
      .def_prop_ro("outer", [](const Rule& rule) { return pair_of(rule.value.outer); })
      .def_prop_ro("order", [](const Rule& rule) { return to_string(rule.value.order); })
      .def_ro("text", &Rule::text)
      .def_ro("origin", &Rule::origin);
}

void bind_map(nb::module_& module) {
  nb::class_<QuantizerMap>(module, "QuantizerMap", "A map of the core.")
      .def(
          "__init__",
          [](QuantizerMap* self, const std::string& kind) {
            new (self) QuantizerMap({}, kind_of(kind));
          },
          "kind"_a)
      .def_static(
          "from_file",
          [](const std::filesystem::path& path, const std::string& kind) {
            return QuantizerMap::from_file(path, kind_of(kind));
          },
          "path"_a, "kind"_a)
      .def_static(
          "from_json",
          [](std::string_view text, const std::string& kind) {
            return QuantizerMap::from_json(text, kind_of(kind));
          },
          "text"_a, "kind"_a)
      .def_static(
          "from_argument",
          [](std::string_view text, const std::string& kind) {
            return QuantizerMap::from_argument(text, kind_of(kind));
          },
          "text"_a, "kind"_a)
      .def(
          "add_plain",
          [](QuantizerMap& self, std::string key, QuantizerPointer quantizer) {
            self.add(std::move(key), std::move(quantizer));
          },
          "key"_a, "quantizer"_a.none())
      .def(
          "add_string",
          [](QuantizerMap& self, std::string key, std::string_view text) {
            RuleValue value;
            try {
              value = string_value(text, self.kind());
            } catch (const Error& error) {
              throw Error("rule " + std::to_string(self.rules().size() + 1) + ": " + error.what());
            }
            self.add(std::move(key), std::move(value));
          },
          "key"_a, "text"_a)
      .def(
          "add_weights",
          [](QuantizerMap& self, std::string key, QuantizerPointer weight, QuantizerPointer bias) {
            self.add(std::move(key),
                     RuleValue{.weight = std::move(weight), .bias = std::move(bias)});
          },
          "key"_a, "weight"_a.none(), "bias"_a.none())
      .def(
          "add_intrinsic",
          [](QuantizerMap& self, std::string key, QuantizerPointer product,
             QuantizerPointer accumulator, std::string_view accumulate,
             const std::optional<OuterPair>& outer, std::string_view order) {
            RuleValue value;
            value.product = product ? std::move(product) : make_quantizer("none");
            value.accumulator = std::move(accumulator);
            const auto part = [&](const char* name, const auto& make, std::string_view text) {
              try {
                return make(text);
              } catch (const SpecError& error) {
                throw Error("rule " + std::to_string(self.rules().size() + 1) + ": " + name + ": " +
                            error.reason());
              }
            };
            value.accumulate = part("accumulate", make_accumulate, accumulate);
            value.order = part("order", make_tap_order, order);
            value.outer = outer_sum_of(outer);
            self.add(std::move(key), std::move(value));
          },
          "key"_a, "product"_a.none(), "accumulator"_a.none(), "accumulate"_a, "outer"_a.none(),
          "order"_a)
      .def(
          "add_gradients",
          [](QuantizerMap& self, std::string key, QuantizerPointer error, QuantizerPointer weight,
             QuantizerPointer bias) {
            self.add(std::move(key), RuleValue{.error = std::move(error),
                                               .weight_gradient = std::move(weight),
                                               .bias_gradient = std::move(bias)});
          },
          "key"_a, "error"_a.none(), "weight"_a.none(), "bias"_a.none())
      .def(
          "add_optimizer",
          [](QuantizerMap& self, std::string key, QuantizerPointer state, QuantizerPointer update,
             std::map<std::string, QuantizerPointer> states) {
            self.add(std::move(key), RuleValue{.state = std::move(state),
                                               .update = std::move(update),
                                               .states = std::move(states)});
          },
          "key"_a, "state"_a.none(), "update"_a.none(), "states"_a)
      .def(
          "find",
          [](const QuantizerMap& self, std::string layer, std::string type) {
            return self.find({std::move(layer), std::move(type)});
          },
          "layer"_a, "type"_a)
      .def(
          "find_rule",
          [](const QuantizerMap& self, std::string layer, std::string type) {
            return copy_of(self.find_rule({std::move(layer), std::move(type)}));
          },
          "layer"_a, "type"_a)
      .def_prop_ro("rules", [](const QuantizerMap& self) { return self.rules(); })
      .def_prop_ro("kind", [](const QuantizerMap& self) { return to_string(self.kind()); })
      .def("to_json", &QuantizerMap::to_json)
      .def(nb::self == nb::self);
}

// name, type, kind
using LayerName = std::tuple<std::string, std::string, std::string>;
// layer, and its rules of each map
using ExplainedLayer = std::pair<std::string, std::array<std::optional<Rule>, kMapKinds.size()>>;
// kind, rule, the rule that shadows it, the nearest layer, message
using ExplainedIdle = std::tuple<std::string, Rule, std::optional<Rule>, std::string, std::string>;

}  // namespace

void bind_maps(nb::module_& module) {
  bind_rule(module);
  bind_map(module);
  module.def("list_hardware", [] {
    std::vector<std::tuple<std::string, std::string, std::string>> lines;
    for (const Hardware& hardware : hardware_list()) {
      lines.emplace_back(
          hardware.name, hardware.summary,
          to_json(string_value(hardware.name, MapKind::intrinsic), MapKind::intrinsic));
    }
    return lines;
  });
  module.def(
      "override_from_file",
      [](const std::filesystem::path& path) { return maps_of(Override::from_file(path)); },
      "path"_a, "The maps of a file: weights, extrinsic, intrinsic, gradients, optimizer.");
  module.def(
      "override_from_json",
      [](std::string_view text) { return maps_of(Override::from_json(text)); }, "text"_a);
  module.def("format_table", &format_table, "headings"_a, "rows"_a,
             "Rows of cells under their headings, in columns as wide as a terminal shows them.");
  module.def(
      "override_to_json", [](const Maps& maps) { return override_of(maps).to_json(); }, "maps"_a);
  module.def(
      "refuse_training", [](const Maps& maps) { override_of(maps).refuse_training(); }, "maps"_a,
      "Raises an Error where a map is about training.");
  module.def(
      "explain",
      [](const Maps& given, const std::vector<LayerName>& layers) {
        const Override maps = override_of(given);
        std::vector<NamedLayer> named;
        for (const auto& [name, type, kind] : layers) {
          named.emplace_back(name, type, kind_of_layer(kind));
        }
        const Explanation explanation = explain(maps, named);
        std::vector<ExplainedLayer> hit;
        hit.reserve(explanation.layers.size());
        for (const LayerExplanation& layer : explanation.layers) {
          ExplainedLayer& one = hit.emplace_back(layer.layer, decltype(ExplainedLayer::second){});
          for (std::size_t i = 0; i < kMapKinds.size(); ++i) {
            one.second[i] = copy_of(layer[kMapKinds[i]]);
          }
        }
        std::vector<ExplainedIdle> idle;
        idle.reserve(explanation.idle.size());
        for (const IdleRule& rule : explanation.idle) {
          idle.emplace_back(to_string(rule.kind), *rule.rule, copy_of(rule.shadowed_by),
                            rule.suggestion, rule.message());
        }
        return std::tuple(hit, idle);
      },
      "maps"_a, "layers"_a, "Of names, types and kinds of layers.");
}

}  // namespace tensorquant::python
