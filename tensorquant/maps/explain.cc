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

// Of one map. A map with more keys that hit no layer was written for another model: more
// suggestions help nobody, and each takes a look at every character of every name.
constexpr std::size_t kMostSuggestions = 64;

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

// Each pair of a rule and a layer is matched once at most.
void explain_map(const QuantizerMap& map, MapKind kind, Explanation& explanation,
                 const std::vector<std::string>& layers) {
  std::size_t suggestions = 0;
  for (const Rule& rule : map.rules()) {
    IdleRule idle{map.kind(), &rule, nullptr, {}};
    bool is_chosen = false;
    for (LayerExplanation& layer : explanation.layers) {
      const bool is_taken = layer[kind] != nullptr;
      if (is_taken && (is_chosen || idle.shadowed_by)) continue;
      if (!rule.pattern.hits(layer.layer)) continue;
      if (is_taken) {
        idle.shadowed_by = layer[kind];
      } else {
        layer[kind] = &rule;
        is_chosen = true;
      }
    }
    if (is_chosen) continue;
    if (!idle.shadowed_by && suggestions < kMostSuggestions) {
      idle.suggestion = nearest_layer(rule.pattern, layers);
      ++suggestions;
    }
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
