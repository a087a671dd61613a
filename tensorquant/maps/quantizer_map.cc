#include "tensorquant/maps/quantizer_map.h"

#include <algorithm>
#include <cstddef>
#include <system_error>

#include "tensorquant/base/error.h"
#include "tensorquant/base/text.h"
#include "tensorquant/maps/json_text.h"
#include "tensorquant/maps/map_reader.h"
#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant {
namespace {

using Rules = std::vector<std::pair<std::string, std::string>>;

std::string rule_origin(std::size_t index) { return "rule " + std::to_string(index + 1); }

// Whether a text that is no quantizer string was meant as a path: "maps/8bit", "8bit.json", "~".
bool looks_like_path(std::string_view text) {
  if (text.find_first_of("/\\") != text.npos) return true;
  if (text.starts_with('~') || text.starts_with('.') || text.ends_with(".json")) return true;
  const auto dot = text.rfind('.');
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return dot != text.npos && text.find(',') == text.npos && dot + 1 < text.size() &&
         is_letter(text[dot + 1]);
}

}  // namespace

QuantizerMap QuantizerMap::from_json(std::string_view text, MapKind kind) {
  const JsonText source(text);
  return MapReader(source).read(source.parse(), kind);
}

QuantizerMap QuantizerMap::from_file(const std::filesystem::path& path, MapKind kind) {
  const JsonText source(read_map_file(path), path.string());
  return MapReader(source).read(source.parse(), kind);
}

QuantizerMap QuantizerMap::from_argument(std::string_view argument, MapKind kind) {
  const std::filesystem::path path(argument);
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  const bool is_directory = std::filesystem::is_directory(status);
  if (std::filesystem::exists(status) && !is_directory) return from_file(path, kind);

  argument = without_byte_order_mark(argument, "the map");
  const auto start = argument.find_first_not_of(" \t\r\n");
  if (start != argument.npos && argument[start] == '{') return from_json(argument, kind);

  const auto neither = [&](std::string_view reason) {
    return Error("'" + std::string(argument) +
                 "' is neither an existing file nor a quantizer string: " + std::string(reason));
  };
  QuantizerMap map({}, kind);
  try {
    map.append("", string_value(argument, kind), rule_origin(0));
  } catch (const Error& error) {
    if (is_directory || looks_like_path(argument)) read_map_file(path);  // says what is wrong
    const auto* spec_error = dynamic_cast<const SpecError*>(&error);
    throw neither(spec_error ? spec_error->reason() : error.what());
  }
  return map;
}

QuantizerMap::QuantizerMap(std::initializer_list<std::pair<std::string, std::string>> rules,
                           MapKind kind)
    : QuantizerMap(Rules(rules), kind) {}

QuantizerMap::QuantizerMap(const Rules& rules, MapKind kind) : kind_(kind) {
  for (const auto& [key, spec] : rules) {
    const std::string origin = rule_origin(rules_.size());
    RuleValue value;
    try {
      value = string_value(spec, kind);
    } catch (const Error& error) {
      throw Error(origin + ": " + error.what());
    }
    append(key, std::move(value), origin);
  }
}

QuantizerMap& QuantizerMap::add(std::string key, std::shared_ptr<const Quantizer> quantizer) {
  return add(std::move(key), plain_value(std::move(quantizer), kind_));
}

QuantizerMap& QuantizerMap::add(std::string key, RuleValue value) {
  append(std::move(key), std::move(value), rule_origin(rules_.size()));
  return *this;
}

void QuantizerMap::append(std::string key, RuleValue value, std::string origin) {
  const auto same_key = [&](const Rule& rule) { return rule.pattern.key() == key; };
  const auto first = std::find_if(rules_.begin(), rules_.end(), same_key);
  try {
    if (first != rules_.end()) {
      throw Error("duplicate key '" + key + "', first at " + first->origin);
    }
    LayerPattern pattern(std::move(key));
    value = normalized(std::move(value), kind_);
    std::string text = tensorquant::to_json(value, kind_);
    rules_.push_back({std::move(pattern), std::move(value), std::move(text), std::move(origin)});
  } catch (const Error& error) {
    throw Error(origin + ": " + error.what());
  }
}

std::shared_ptr<const Quantizer> QuantizerMap::find(const NamedLayer& layer) const {
  const Rule* rule = find_rule(layer);
  return rule ? rule->value[places_of(kind_).front()] : nullptr;
}

const Rule* QuantizerMap::find_rule(const NamedLayer& layer) const {
  for (const Rule& rule : rules_) {
    if (rule.pattern.hits(layer)) return &rule;
  }
  return nullptr;
}

std::string QuantizerMap::to_json() const {
  std::string text = "{";
  for (const Rule& rule : rules_) {
    if (text.size() > 1) text += ',';
    text += json_quoted(rule.pattern.key()) + ':' + rule.text;
  }
  return text + '}';
}

}  // namespace tensorquant
