#ifndef TENSORQUANT_MAPS_QUANTIZER_MAP_H_
#define TENSORQUANT_MAPS_QUANTIZER_MAP_H_

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensorquant/maps/rule.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// An ordered list of rules from layer names to quantizers; the first rule that hits a name wins. A
// value: copying it copies it.
//
//   {"conv": "nearest,8,4", "fc1": {"weight": "nearest,8,6", "bias": "nearest,16,12"}, "fc2": null}
//
// A key hits every layer whose full name contains it; "re:..." is a regular expression that must
// match the whole name, "=name" an exact name, "op:..." a type, "" hits every layer. null and
// "none" leave a layer alone. See docs/maps.md.
class QuantizerMap {
 public:
  // A JSON object, or a JSON string that holds a quantizer string for every layer. Throws an Error
  // with file, line and column.
  static QuantizerMap from_json(std::string_view text, MapKind kind = MapKind::weights);
  static QuantizerMap from_file(const std::filesystem::path& path, MapKind kind = MapKind::weights);
  // What a command line takes: the path of a JSON file, a bare quantizer string for every layer, or
  // JSON that starts with '{'. A path that does not exist is an error.
  static QuantizerMap from_argument(std::string_view argument, MapKind kind = MapKind::weights);

  QuantizerMap() = default;
  // Keys and quantizer strings in order, as QuantizerMap({{"conv", "nearest,8,4"}, {"fc",
  // "none"}}).
  QuantizerMap(std::initializer_list<std::pair<std::string, std::string>> rules,
               MapKind kind = MapKind::weights);
  explicit QuantizerMap(const std::vector<std::pair<std::string, std::string>>& rules,
                        MapKind kind = MapKind::weights);

  // Appends a rule. One quantizer means what a plain quantizer string means: weight and bias,
  // output, or product and accumulator; null leaves the layers alone. Throws an Error for a key
  // that the map has already and for a value that is not of the map's kind.
  QuantizerMap& add(std::string key, std::shared_ptr<const Quantizer> quantizer);
  QuantizerMap& add(std::string key, RuleValue value);

  // The weight, output or product quantizer, whichever the kind has, that the first hitting rule
  // gives to the layer; null where no rule hits or the rule leaves it alone. find_rule() has the
  // rest.
  std::shared_ptr<const Quantizer> find(const NamedLayer& layer) const;
  const Rule* find_rule(const NamedLayer& layer) const;

  const std::vector<Rule>& rules() const { return rules_; }
  MapKind kind() const { return kind_; }
  bool empty() const { return rules_.empty(); }
  // Canonical JSON: from_json(map.to_json(), map.kind()) == map.
  std::string to_json() const;

  // Same kind, same rules in the same order.
  bool operator==(const QuantizerMap&) const = default;

 private:
  friend class MapReader;
  void append(std::string key, RuleValue value, std::string origin);

  MapKind kind_ = MapKind::weights;
  std::vector<Rule> rules_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_QUANTIZER_MAP_H_
