#include "tensorquant/search/layer_place.h"

#include <algorithm>
#include <map>
#include <optional>
#include <regex>
#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

constexpr Place kSearched[] = {Place::weight, Place::bias, Place::output};

bool ties_together(const std::string& tie, const LayerPlace& place) {
  if (tie == "weights") return place.place == Place::weight;
  if (tie == "biases") return place.place == Place::bias;
  if (tie == "outputs") return place.place == Place::output;
  try {
    return std::regex_search(place.text(), std::regex(tie));
  } catch (const std::regex_error& error) {
    throw Error("'" + tie + "' is no regular expression: " + error.what());
  }
}

}  // namespace

std::string LayerPlace::text() const { return to_string(place) + ":" + layer; }

LayerPlace layer_place(std::string_view text) {
  const std::size_t colon = text.find(':');
  for (const Place place : kSearched) {
    if (colon != std::string_view::npos && text.substr(0, colon) == to_string(place)) {
      return {place, std::string(text.substr(colon + 1))};
    }
  }
  throw Error("'" + std::string(text) + "' is no place: weight:LAYER, bias:LAYER or output:LAYER");
}

Override maps_of(std::span<const LayerPlace> places,
                 std::span<const std::shared_ptr<const Quantizer>> quantizers) {
  if (places.size() != quantizers.size()) {
    throw Error("there are " + std::to_string(places.size()) + " places and " +
                std::to_string(quantizers.size()) + " quantizers");
  }
  std::vector<std::pair<std::string, RuleValue>> values;
  Override maps;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (quantizers[i] == nullptr) continue;
    const std::string key = "=" + places[i].layer;
    if (places[i].place == Place::output) {
      maps.extrinsic.add(key, quantizers[i]);
      continue;
    }
    auto value = std::find_if(values.begin(), values.end(),
                              [&](const auto& one) { return one.first == key; });
    if (value == values.end()) value = values.insert(values.end(), {key, RuleValue{}});
    value->second[places[i].place] = quantizers[i];
  }
  for (auto& [key, value] : values) maps.weights.add(key, std::move(value));
  return maps;
}

Override without(const Override& maps, const LayerPlace& place, const NamedLayer& layer) {
  const MapKind kind = place.place == Place::output ? MapKind::extrinsic : MapKind::weights;
  const Rule* const rule = maps[kind].find_rule(layer);
  if (rule == nullptr || rule->value[place.place] == nullptr) return maps;
  RuleValue value = rule->value;
  value[place.place] = nullptr;
  // The first rule that hits wins, and so does an exact name that stands before all others.
  const std::string key = "=" + layer.name;
  QuantizerMap changed({}, kind);
  changed.add(key, std::move(value));
  for (const Rule& other : maps[kind].rules()) {
    if (other.pattern.key() != key) changed.add(other.pattern.key(), other.value);
  }
  Override result = maps;
  result[kind] = std::move(changed);
  return result;
}

std::vector<std::vector<std::size_t>> groups_of(std::span<const LayerPlace> places,
                                                std::span<const std::string> ties) {
  std::vector<std::vector<std::size_t>> groups;
  std::map<std::size_t, std::size_t> group_of_tie;
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::optional<std::size_t> tie;
    for (std::size_t t = 0; t < ties.size(); ++t) {
      if (!ties_together(ties[t], places[i])) continue;
      if (tie) {
        throw Error("'" + ties[*tie] + "' and '" + ties[t] + "' both tie " + places[i].text());
      }
      tie = t;
    }
    if (tie && group_of_tie.contains(*tie)) {
      groups[group_of_tie[*tie]].push_back(i);
      continue;
    }
    if (tie) group_of_tie[*tie] = groups.size();
    groups.push_back({i});
  }
  for (std::size_t t = 0; t < ties.size(); ++t) {
    if (!group_of_tie.contains(t)) throw Error("'" + ties[t] + "' ties no place");
  }
  return groups;
}

}  // namespace tensorquant
