#include "tensorquant/report/report.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tensorquant/base/error.h"
#include "tensorquant/report/page.h"
#include "tensorquant/report/sections.h"

namespace tensorquant {
namespace {

// By layer, and there weight, bias, output, as data flow.
std::pair<std::size_t, std::size_t> order_of(const std::string& place,
                                             const std::map<std::string, std::size_t>& layers) {
  static const std::map<std::string, std::size_t> kKinds = {
      {"weight", 0}, {"bias", 1}, {"product", 2}, {"accumulator", 3}, {"output", 4}};
  const std::size_t colon = place.find(':');
  const auto layer = layers.find(place.substr(colon + 1));
  const auto kind = kKinds.find(place.substr(0, colon));
  return {layer == layers.end() ? layers.size() : layer->second,
          kind == kKinds.end() ? kKinds.size() : kind->second};
}

}  // namespace

std::vector<std::string> all_places(const Report& report) {
  std::set<std::string> names;
  for (const EvaluatedMap& map : report.evaluated.maps) {
    for (const PlaceFormat& place : map.places) names.insert(place.place);
  }
  for (const ReportedPlace& place : report.places) names.insert(place.format.place);
  std::vector<std::string> places(names.begin(), names.end());
  std::map<std::string, std::size_t> layers;
  for (const LayerFacts& facts : report.layers) layers.emplace(facts.layer, layers.size());
  if (!layers.empty()) {
    std::stable_sort(places.begin(), places.end(), [&](const auto& a, const auto& b) {
      return order_of(a, layers) < order_of(b, layers);
    });
  }
  return places;
}

const EvaluatedMap* chosen_map(const EvaluatedMaps& evaluated) {
  const auto cost = [](const EvaluatedMap& map) {
    double bits = 0;  // where nothing better is known
    for (const PlaceFormat& place : map.places) bits += place.bits;
    return map.cost ? map.cost->bops : bits;
  };
  const EvaluatedMap* chosen = nullptr;
  for (const EvaluatedMap& map : evaluated.maps) {
    if (map.purpose != "test" || map.places.empty()) continue;
    if (chosen == nullptr || cost(map) < cost(*chosen)) chosen = &map;
  }
  return chosen;
}

std::string report_html(const Report& report, const ChartLibraries& libraries) {
  const auto shared = nlohmann::json::parse(report.shared);
  const auto model = shared.find("model");
  Page page("TensorQuant report" + (model != shared.end() && model->is_string()
                                        ? ": " + one_line(model->get<std::string>())
                                        : std::string()));
  add_head(page, report);
  add_values(page, report);
  add_places(page, report);
  add_sensitivity(page, report);
  add_accuracy_over_cost(page, report);
  add_accuracy_over_widths(page, report);
  add_arithmetic(page, report);
  return page.text(libraries.scripts);
}

}  // namespace tensorquant
