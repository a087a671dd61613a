#include <algorithm>
#include <cstddef>
#include <set>
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

bool concerns(MapKind kind, const NamedLayer& layer) {
  return kind == MapKind::extrinsic || layer.kind != NamedLayer::Kind::input;
}

// "'Conv', 'Relu'"; empty where none is known.
std::string types_of(const std::vector<NamedLayer>& layers) {
  constexpr std::size_t kMost = 32;
  std::set<std::string> types;
  for (const NamedLayer& layer : layers) {
    if (layer.kind != NamedLayer::Kind::input) types.insert(layer.type);
  }
  types.erase("");
  std::string text;
  std::size_t count = 0;
  for (const std::string& type : types) {
    if (count++ == kMost) return text + " ...";
    text += (text.empty() ? "'" : ", '") + type + "'";
  }
  return text;
}

// The layer that a key which hits none may have meant.
void suggest_layer(const std::vector<NamedLayer>& layers, IdleRule& idle) {
  constexpr std::size_t kLongest = 256;  // the distance takes |key| * |name| steps
  const LayerPattern& pattern = idle.rule->pattern;
  const std::string_view key = pattern.text().substr(0, kLongest);
  if (key.empty()) return;
  std::size_t least = key.size() / 2 + (pattern.is_regex() ? 0 : 1);
  for (const NamedLayer& layer : layers) {
    if (!concerns(idle.kind, layer)) continue;
    idle.suggests_mover = layer.kind == NamedLayer::Kind::mover && pattern.hits_name(layer.name);
    if (idle.suggests_mover || pattern.matches_only_a_part_of(layer.name)) {
      idle.suggestion = layer.name;
      return;
    }
    const std::size_t distance = distance_to_part(key, layer.name.substr(0, kLongest));
    if (distance < least) {
      least = distance;
      idle.suggestion = layer.name;
    }
  }
}

// Each pair of a rule and a layer is matched once at most.
void explain_map(const QuantizerMap& map, MapKind kind, Explanation& explanation,
                 const std::vector<NamedLayer>& layers) {
  std::size_t suggestions = 0;
  for (const Rule& rule : map.rules()) {
    IdleRule idle;
    idle.kind = map.kind();
    idle.rule = &rule;
    bool is_chosen = false;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Rule*& chosen = explanation.layers[i][kind];
      if (chosen != nullptr && (is_chosen || idle.shadowed_by)) continue;
      if (!concerns(kind, layers[i]) || !rule.pattern.hits(layers[i])) continue;
      if (chosen != nullptr) {
        idle.shadowed_by = chosen;
      } else {
        chosen = &rule;
        is_chosen = true;
      }
    }
    if (is_chosen) continue;
    if (!idle.shadowed_by && suggestions < kMostSuggestions) {
      if (rule.pattern.is_type()) {
        idle.suggestion = types_of(layers);
      } else {
        suggest_layer(layers, idle);
      }
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
  if (rule->pattern.is_type()) {
    text += "; the types are " + suggestion;
  } else if (suggests_mover) {
    text += "; '" + suggestion + "' only moves numbers, which '=" + suggestion + "' hits";
  } else if (rule->pattern.matches_only_a_part_of(suggestion)) {
    text += "; it matches only a part of '" + suggestion + "'";
  } else {
    text += "; the nearest is '" + suggestion + "'";
  }
  return one_line(text);
}

Explanation explain(const Override& maps, const std::vector<NamedLayer>& layers) {
  maps.check_kinds();
  Explanation explanation;
  for (const NamedLayer& layer : layers) explanation.layers.push_back({.layer = layer.name});
  for (const MapKind kind : kMapKinds) explain_map(maps[kind], kind, explanation, layers);
  return explanation;
}

}  // namespace tensorquant
