#include "tensorquant/report/evaluated_map.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tensorquant/base/error.h"
#include "tensorquant/base/hash.h"
#include "tensorquant/search/operand.h"

namespace tensorquant {
namespace {

using nlohmann::ordered_json;

int bits_of(const std::string& quantizer) {
  try {
    return operand_of(make_quantizer(quantizer).get()).bits;
  } catch (const Error&) {
    return Operand().bits;  // a name that another program has registered
  }
}

void add(std::vector<PlaceFormat>& places, const std::string& kind, const std::string& key,
         const ordered_json& quantizer) {
  if (!quantizer.is_string()) return;
  const std::string layer = key.starts_with('=') ? key.substr(1) : key;
  const std::string text = quantizer.get<std::string>();
  places.push_back({kind + ":" + one_line(layer), one_line(text), bits_of(text)});
}

// The rules of one map: an object, or one quantizer for all layers.
template <class Add>
void for_each_rule(const ordered_json& maps, const char* kind, Add&& add_rule) {
  const auto map = maps.find(kind);
  if (map == maps.end()) return;
  if (!map->is_object()) return add_rule(std::string(), *map);
  for (const auto& [key, value] : map->items()) add_rule(key, value);
}

std::string data_in(const std::string& key) {
  const ordered_json keys = ordered_json::parse(key, nullptr, false);
  return keys.is_object() ? keys.value("data", "") : "";
}

EvaluatedMap evaluated_map(const std::string& key, const ordered_json& record,
                           const std::string& text) {
  EvaluatedMap map;
  map.name = Fnv1a().add(key).text();
  map.metrics = logit_metrics_in(text);
  if (map.metrics.images == 0) throw Error("no images");
  map.maps = record.at("maps").dump();
  map.places = places_in(map.maps);
  map.data = data_in(key);
  map.purpose = record.value("purpose", "");
  const auto took = record.find("seconds");
  if (took != record.end() && took->is_number()) map.seconds = took->get<double>();
  return map;
}

FailedMap failed_map(const std::string& key, const ordered_json& record) {
  const ordered_json& error = record.at("error");
  return {Fnv1a().add(key).text(), record.contains("maps") ? record.at("maps").dump() : "",
          data_in(key), record.value("purpose", ""),
          error.is_string() ? error.get<std::string>() : error.dump()};
}

}  // namespace

double EvaluatedMap::accuracy() const {
  return static_cast<double>(metrics.correct) / static_cast<double>(metrics.images);
}

std::optional<int> EvaluatedMap::uniform_bits(std::size_t all) const {
  if (places.empty() || places.size() != all) return std::nullopt;
  const int bits = places.front().bits;
  const bool is_uniform = std::all_of(places.begin(), places.end(),
                                      [&](const auto& place) { return place.bits == bits; });
  return is_uniform ? std::optional(bits) : std::nullopt;
}

std::vector<PlaceFormat> places_in(const std::string& maps) {
  const ordered_json all = ordered_json::parse(maps);
  std::vector<PlaceFormat> places;
  for_each_rule(all, "weights", [&](const std::string& key, const ordered_json& rule) {
    if (!rule.is_object()) return add(places, "weight", key, rule);
    for (const auto& [place, quantizer] : rule.items()) add(places, place, key, quantizer);
  });
  for_each_rule(all, "extrinsic", [&](const std::string& key, const ordered_json& rule) {
    add(places, "output", key, rule);
  });
  for_each_rule(all, "intrinsic", [&](const std::string& key, const ordered_json& rule) {
    if (!rule.is_object()) return add(places, "accumulator", key, rule);
    for (const char* const place : {"product", "accumulator"}) {
      if (rule.contains(place)) add(places, place, key, rule[place]);
    }
  });
  return places;
}

EvaluatedMaps evaluated_maps(const Store& store) {
  EvaluatedMaps read;
  for (const auto& [key, text] : store.records()) {
    const ordered_json record = ordered_json::parse(text);
    if (record.contains("sufficient_bits")) continue;  // what `search --accumulators` saw
    try {
      record.contains("error") ? read.failed.push_back(failed_map(key, record))
                               : read.maps.push_back(evaluated_map(key, record, text));
    } catch (const std::exception&) {
      ++read.others;
    }
  }
  return read;
}

}  // namespace tensorquant
