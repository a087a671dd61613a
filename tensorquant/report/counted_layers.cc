#include "tensorquant/report/counted_layers.h"

#include <map>
#include <set>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/assign.h"
#include "tensorquant/report/stored_report.h"
#include "tensorquant/search/accumulator_width.h"

namespace tensorquant {
namespace {

// One of each layer, which may be called more than once.
std::vector<AssignableLayer> layers_in(const std::vector<LayerFacts>& facts) {
  std::vector<AssignableLayer> layers;
  std::set<std::string> known;
  for (const LayerFacts& one : facts) {
    if (!known.insert(one.layer).second) continue;
    AssignableLayer& layer = layers.emplace_back();
    layer.names = {one.layer};
    layer.type = one.type;
  }
  return layers;
}

LayerFormats formats_of(const LayerQuantizers& quantizers) {
  LayerFormats formats;
  formats.weight = operand_of(quantizers.weight.get());
  formats.bias = operand_of(quantizers.bias.get());
  if (quantizers.output != nullptr) formats.output = operand_of(quantizers.output.get());
  if (quantizers.accumulator != nullptr) {
    formats.accumulator = operand_of(quantizers.accumulator.get()).bits;
  }
  return formats;
}

}  // namespace

CountedLayers::CountedLayers(std::vector<LayerFacts> facts, const Technology& technology)
    : technology_(technology.name + " (" + technology.source + ")"),
      cost_(std::move(facts), technology) {}

CountedLayers::Formats CountedLayers::formats_of(const Override& maps) const {
  const std::vector<LayerFacts>& facts = cost_.facts();
  std::map<std::string, LayerQuantizers> assigned;
  for (LayerQuantizers& one : assign(maps, layers_in(facts)).layers) {
    assigned.emplace(one.layer, one);
  }
  Formats formats;
  for (const LayerFacts& one : facts) {
    const LayerQuantizers& quantizers = assigned.at(one.layer);
    formats.layers.push_back(tensorquant::formats_of(quantizers));
    const auto add = [&](const char* kind, const Quantizer* quantizer) {
      if (quantizer == nullptr) return;
      const std::string place = std::string(kind) + ":" + one_line(one.layer);
      for (const PlaceFormat& before : formats.places) {
        if (before.place == place) return;
      }
      formats.places.push_back({place, one_line(quantizer->spec()), operand_of(quantizer).bits});
    };
    if (one.weights > 0) add("weight", quantizers.weight.get());
    if (one.biases > 0) add("bias", quantizers.bias.get());
    add("output", quantizers.output.get());
  }
  return formats;
}

void CountedLayers::add_costs(Report& report) const {
  report.layers = cost_.facts();
  report.technology = technology_;
  for (EvaluatedMap& map : report.evaluated.maps) {
    Formats formats = formats_of(Override::from_json(map.maps));
    map.places = std::move(formats.places);
    map.cost = cost_(formats.layers);
  }
  for (const auto& [name, maps] : compared_maps()) {
    report.comparisons.emplace_back(name, cost_(formats_of(maps).layers));
  }
}

void CountedLayers::add_map(Report& report, const std::string& maps) const {
  Formats formats = formats_of(Override::from_json(maps));
  report.cost = cost_(formats.layers);
  for (PlaceFormat& place : formats.places) report.places.push_back({std::move(place)});
  for (std::size_t i = 0; i < formats.layers.size(); ++i) {
    const LayerFacts& facts = cost_.facts()[i];
    ReportedAccumulator& accumulator = report.accumulators.emplace_back();
    accumulator.given = formats.layers[i].accumulator;
    if (facts.macs == 0) continue;
    accumulator.worst_case =
        worst_case_bits(facts.terms, formats.layers[i].weight, report.cost->layers[i].input);
  }
  report.formats = std::move(formats.layers);
}

}  // namespace tensorquant
