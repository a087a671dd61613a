// Search: what maps lose and cost, and the cheapest that loses little.

#include "tensorquant/search/search.h"

#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "python/src/arrays.h"
#include "python/src/bindings.h"
#include "python/src/technology_named.h"
#include "tensorquant/base/error.h"
#include "tensorquant/search/cost.h"
#include "tensorquant/search/layer_place.h"
#include "tensorquant/search/logit_metrics.h"
#include "tensorquant/search/tensor_fit.h"
#include "tensorquant/store/store.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tensorquant::python {
namespace {

using Choices = std::vector<std::size_t>;
using Scores = std::vector<std::vector<double>>;
using Cost = std::function<double(const Choices&)>;
// KL, loss and its standard error.
using Measure = std::function<std::tuple<double, double, double>(const Choices&)>;
using Prepare = std::function<void(const std::vector<Choices>&)>;

CostOfChoices cost_of(const Cost& cost) {
  return [&cost](std::span<const std::size_t> choices) {
    return cost(Choices(choices.begin(), choices.end()));
  };
}

SearchProblem problem_of(const Scores& scores, const Cost& cost, const Measure& measure,
                         const Prepare& prepare) {
  return {scores, cost_of(cost),
          [&measure](std::span<const std::size_t> choices) {
            const auto [kl, loss, error] = measure(Choices(choices.begin(), choices.end()));
            return Measurement{kl, loss, error};
          },
          prepare};
}

// search_margin() or search_budget().
template <auto search>
SearchResult searched(const Scores& scores, const Cost& cost, const Measure& measure,
                      const Prepare& prepare, double limit, int rounds) {
  return search(problem_of(scores, cost, measure, prepare), limit, rounds);
}

// nearest,bits,F of the least squared error, or the finest that covers all values.
std::string best_fixed_point(const In<float>& x, int bits, bool cover) {
  const std::span<const float> values = span_of(x);
  ValueRange range;
  if (!values.empty()) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    range.include(*low, *high, "the tensor");
  }
  const auto candidates = fixed_point_candidates(bits, range);
  if (cover) return candidates.front()->spec();
  std::vector<double> errors;
  for (const auto& candidate : candidates) errors.push_back(squared_error(*candidate, values));
  const auto least = std::min_element(errors.begin(), errors.end()) - errors.begin();
  return candidates[static_cast<std::size_t>(least)]->spec();
}

// The formats of maps that give places such as "weight:conv1" these quantizers.
std::vector<LayerFormats> formats_of(
    const std::vector<LayerFacts>& facts,
    const std::vector<std::tuple<std::string, std::string>>& specs) {
  std::vector<LayerFormats> formats(facts.size());
  for (const auto& [text, spec] : specs) {
    const LayerPlace place = layer_place(text);
    const Operand operand = operand_of(make_quantizer(spec).get());
    bool is_known = false;
    for (std::size_t i = 0; i < facts.size(); ++i) {  // a layer may be called more than once
      if (facts[i].layer != place.layer) continue;
      is_known = true;
      if (place.place == Place::weight) formats[i].weight = operand;
      if (place.place == Place::bias) formats[i].bias = operand;
      if (place.place == Place::output) formats[i].output = operand;
    }
    if (!is_known) throw Error("there are no facts about layer '" + place.layer + "'");
  }
  return formats;
}

void bind_costs(nb::module_& module) {
  nb::class_<LayerFacts>(module, "LayerFacts",
                         "What a layer computes for one input of the model; counts of elements.")
      .def(
          "__init__",
          [](LayerFacts* facts, std::string layer, std::int64_t macs, std::int64_t terms,
             std::int64_t weights, std::int64_t biases, std::int64_t inputs, std::int64_t outputs,
             std::vector<std::string> sources, bool moves_values) {
            new (facts) LayerFacts{
                std::move(layer),   "",          macs, terms, weights, biases, inputs, outputs,
                std::move(sources), moves_values};
          },
          "layer"_a, nb::kw_only(), "macs"_a = 0, "terms"_a = 0, "weights"_a = 0, "biases"_a = 0,
          "inputs"_a = 0, "outputs"_a = 0, "sources"_a = std::vector<std::string>(),
          "moves_values"_a = false)
      .def_ro("layer", &LayerFacts::layer)
      .def_ro("macs", &LayerFacts::macs)
      .def_ro("terms", &LayerFacts::terms)
      .def_ro("weights", &LayerFacts::weights)
      .def_ro("biases", &LayerFacts::biases)
      .def_ro("inputs", &LayerFacts::inputs)
      .def_ro("outputs", &LayerFacts::outputs)
      .def_ro("sources", &LayerFacts::sources)
      .def_ro("moves_values", &LayerFacts::moves_values);
  nb::class_<CostFunction>(module, "CostFunction")
      .def(
          "__init__",
          [](CostFunction* cost, std::vector<LayerFacts> facts, const std::string& technology) {
            new (cost) CostFunction(std::move(facts), technology_named(technology));
          },
          "facts"_a, "technology"_a)
      .def(
          "cost",
          [](const CostFunction& cost, const std::string& name,
             const std::vector<std::tuple<std::string, std::string>>& specs) {
            return cost_named(cost(formats_of(cost.facts(), specs)), name);
          },
          "name"_a, "specs"_a);
  module.def("cost_names", &cost_names);
}

void bind_metrics(nb::module_& module) {
  nb::class_<LogitMetrics>(module, "LogitMetrics")
      .def_ro("images", &LogitMetrics::images)
      .def_ro("kl", &LogitMetrics::kl)
      .def_ro("logit_error", &LogitMetrics::logit_error)
      .def_ro("flips", &LogitMetrics::flips)
      .def_ro("correct", &LogitMetrics::correct)
      .def_ro("lost", &LogitMetrics::lost)
      .def_ro("won", &LogitMetrics::won)
      .def_prop_ro("loss", &LogitMetrics::loss)
      .def_prop_ro("loss_error", &LogitMetrics::loss_error);
  module.def(
      "compare_logits",
      [](const In<float>& before, const In<float>& after, std::size_t classes,
         const In<std::int64_t>& labels) {
        return compare_logits(span_of(before), span_of(after), classes, span_of(labels));
      },
      "float_logits"_a.noconvert(), "logits"_a.noconvert(), "classes"_a, "labels"_a.noconvert());
  module.def("best_fixed_point", &best_fixed_point, "x"_a.noconvert(), "bits"_a, "cover"_a,
             nb::call_guard<nb::gil_scoped_release>());
}

void bind_algorithms(nb::module_& module) {
  nb::class_<PathStep>(module, "PathStep")
      .def_ro("group", &PathStep::group)
      .def_ro("before", &PathStep::from)
      .def_ro("after", &PathStep::to)
      .def_ro("score_added", &PathStep::score_added)
      .def_ro("cost_saved", &PathStep::cost_saved)
      .def_ro("score", &PathStep::score)
      .def_ro("cost", &PathStep::cost);
  nb::class_<SearchResult>(module, "SearchResult")
      .def_ro("path", &SearchResult::path)
      .def_ro("steps", &SearchResult::steps)
      .def_ro("choices", &SearchResult::choices)
      .def_ro("cost", &SearchResult::cost);
  module.def(
      "path", [](const Scores& scores, const Cost& cost) { return path(scores, cost_of(cost)); },
      "scores"_a, "cost"_a);
  module.def("search_margin", searched<search_margin>, "scores"_a, "cost"_a, "measure"_a,
             "prepare"_a, "margin"_a, "rounds"_a);
  module.def("search_budget", searched<search_budget>, "scores"_a, "cost"_a, "measure"_a,
             "prepare"_a, "budget"_a, "rounds"_a);
  module.def(
      "groups_of",
      [](const std::vector<std::string>& texts, const std::vector<std::string>& ties) {
        std::vector<LayerPlace> places;
        for (const std::string& text : texts) places.push_back(layer_place(text));
        return groups_of(places, ties);
      },
      "places"_a, "ties"_a);
  module.def("images_factor", &images_factor, "loss_error"_a, "margin"_a);
  module.def(
      "maps_of_places",
      [](const std::vector<std::tuple<std::string, std::string>>& specs) {
        std::vector<LayerPlace> places;
        std::vector<std::shared_ptr<const Quantizer>> quantizers;
        for (const auto& [place, spec] : specs) {
          places.push_back(layer_place(place));
          quantizers.push_back(make_quantizer(spec));
        }
        return maps_of(places, quantizers).to_json();
      },
      "specs"_a);
}

}  // namespace

const Technology& technology_named(const std::string& name) {
  for (const Technology& one : all_technologies()) {
    if (one.name == name) return one;
  }
  throw Error("unknown technology '" + name + "': 45nm or 7nm");
}

void bind_search(nb::module_& module) {
  bind_costs(module);
  bind_metrics(module);
  bind_algorithms(module);
  nb::class_<Store>(module, "Store")
      .def(
          "__init__",
          [](Store* store, const std::string& folder, std::string_view shared) {
            new (store) Store(folder, shared);
          },
          "folder"_a, "shared"_a)
      .def("find", &Store::find, "key"_a)
      .def("put", &Store::put, "key"_a, "record"_a)
      .def("refresh", &Store::refresh)
      .def("__len__", &Store::size);
}

}  // namespace tensorquant::python
