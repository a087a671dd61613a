#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/json_text.h"
#include "tensorquant/maps/override.h"

namespace tensorquant {
namespace {

// The fewest insertions, deletions and changes of characters that turn `pattern` into some part of
// `name` (P. Sellers, "The theory and computation of evolutionary distances", 1980).
std::size_t distance_to_part(std::string_view pattern, std::string_view name) {
  std::vector<std::size_t> row(name.size() + 1, 0);  // a match may start anywhere
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < name.size(); ++j) {
      const std::size_t changed = diagonal + (pattern[i] == name[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
    }
  }
  return *std::min_element(row.begin(), row.end());
}

// The layer that a key which hits none may have meant; empty where none is near.
std::string nearest_layer(const LayerPattern& pattern, const std::vector<std::string>& layers) {
  constexpr std::size_t kLongest = 256;  // the distance takes |key| * |name| steps
  const std::string_view key = pattern.text().substr(0, kLongest);
  if (key.empty()) return {};
  const std::string* nearest = nullptr;
  std::size_t least = key.size() / 2 + (pattern.is_regex() ? 0 : 1);
  for (const std::string& layer : layers) {
    if (pattern.matches_only_a_part_of(layer)) return layer;
    const std::size_t distance = distance_to_part(key, layer.substr(0, kLongest));
    if (distance < least) {
      least = distance;
      nearest = &layer;
    }
  }
  return nearest ? *nearest : std::string();
}

void explain_map(const QuantizerMap& map, MapKind kind, Explanation& explanation,
                 const std::vector<std::string>& layers) {
  for (LayerExplanation& layer : explanation.layers) layer[kind] = map.find_rule(layer.layer);
  for (const Rule& rule : map.rules()) {
    IdleRule idle{map.kind(), &rule, nullptr, {}};
    bool is_chosen = false;
    for (const LayerExplanation& layer : explanation.layers) {
      is_chosen = layer[kind] == &rule;
      if (is_chosen) break;
      if (!idle.shadowed_by && rule.pattern.hits(layer.layer)) idle.shadowed_by = layer[kind];
    }
    if (is_chosen) continue;
    if (!idle.shadowed_by) idle.suggestion = nearest_layer(rule.pattern, layers);
    explanation.idle.push_back(std::move(idle));
  }
}

}  // namespace

std::string IdleRule::message() const {
  std::string text = rule->origin + ": " + to_string(kind) + " key '" + rule->pattern.key() + "' ";
  if (shadowed_by) {
    text += "does nothing: key '" + shadowed_by->pattern.key() + "' (" + shadowed_by->origin +
            ") stands before it and takes its layers";
    return one_line(text);
  }
  text += "hits no layer";
  if (suggestion.empty()) return one_line(text);
  if (rule->pattern.matches_only_a_part_of(suggestion)) {
    text += "; it matches only a part of '" + suggestion + "'";
  } else {
    text += "; the nearest is '" + suggestion + "'";
  }
  return one_line(text);
}

Explanation explain(const Override& maps, const std::vector<std::string>& layers) {
  maps.check_kinds();
  Explanation explanation;
  for (const std::string& layer : layers) explanation.layers.push_back({.layer = layer});
  for (const MapKind kind : kMapKinds) explain_map(maps[kind], kind, explanation, layers);
  return explanation;
}

}  // namespace tensorquant
