#include "tensorquant/maps/map_reader.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant {
namespace {

using Type = JsonValue::Type;

std::string expected_but_found(std::string_view expected, Type found) {
  return "expected " + std::string(expected) + ", found " + std::string(describe(found));
}

// "'weight' or 'bias'": the keys of an object that is a rule's value.
std::string keys_of(MapKind kind, std::string_view conjunction) {
  std::vector<std::string> keys;
  for (const Place place : places_of(kind)) keys.push_back(to_string(place));
  if (kind == MapKind::intrinsic) keys.insert(keys.end(), {"accumulate", "outer", "order"});
  std::string joined;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) joined += i + 1 < keys.size() ? ", " : ' ' + std::string(conjunction) + ' ';
    joined += '\'' + keys[i] + '\'';
  }
  return joined;
}

std::string article(MapKind kind) {
  return kind == MapKind::weights || kind == MapKind::gradients ? "a" : "an";
}

// A map of a single place has no use for objects.
bool takes_objects(MapKind kind) { return places_of(kind).size() > 1; }

std::string expected_value(MapKind kind) {
  if (!takes_objects(kind)) return "a quantizer string or null";
  return "a quantizer string, null or an object with " + keys_of(kind, "and");
}

// An optimizer names its states as it likes, but not as maps name other things.
bool is_state_name(const std::string& key) {
  return !key.empty() && std::none_of(kPlaces.begin(), kPlaces.end(),
                                      [&](const PlaceEntry& entry) { return entry.name == key; });
}

}  // namespace

std::string read_map_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (!std::filesystem::exists(status)) throw Error(name + ": no such file");
  if (std::filesystem::is_directory(status)) throw Error(name + ": is a directory");
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) throw Error(name + ": cannot be read");
  return text;
}

bool is_map_name(std::string_view key) {
  return std::any_of(kMapKinds.begin(), kMapKinds.end(),
                     [&](MapKind kind) { return to_string(kind) == key; });
}

QuantizerMap MapReader::read(const JsonValue& value, MapKind kind) const {
  QuantizerMap map({}, kind);
  if (value.type == Type::string) {
    map.append("", read_rule(value, kind), source_.place(value.offset));
  } else if (value.type == Type::object) {
    refuse_three_in_one(value);
    for (const JsonValue::Member& rule : value.members) {
      map.append(rule.key, read_rule(rule.value, kind), source_.place(rule.offset));
    }
  } else {
    source_.fail(value.offset,
                 expected_but_found("an object of rules or a quantizer string", value.type));
  }
  return map;
}

// A file with three maps, read as one map, would give rules for layers named "weights".
void MapReader::refuse_three_in_one(const JsonValue& rules) const {
  const auto is_map = [](const JsonValue::Member& rule) { return is_map_name(rule.key); };
  const auto is_whole_map = [&](const JsonValue::Member& rule) {
    return is_map(rule) && rule.value.type == Type::object;
  };
  const auto& members = rules.members;
  auto found = std::find_if(members.begin(), members.end(), is_whole_map);
  if (found == members.end() && std::all_of(members.begin(), members.end(), is_map)) {
    found = members.begin();
  }
  if (found == members.end()) return;
  source_.fail(found->offset, "'" + found->key +
                                  "' is the name of a map: this is not one map but a file of all "
                                  "three (--maps, Override::from_file); a layer named so is '=" +
                                  found->key + "'");
}

template <class Make>
auto MapReader::at_its_place(const JsonValue& value, const Make& make) const {
  try {
    return make();
  } catch (const SpecError& error) {
    source_.fail(source_.offset_in_string(value.offset, error.column() - 1),
                 "quantizer '" + value.string + "': " + error.reason());
  } catch (const Error& error) {
    source_.fail(value.offset, error.what());
  }
}

RuleValue MapReader::read_rule(const JsonValue& value, MapKind kind) const {
  if (value.type == Type::object && takes_objects(kind)) {
    if (value.members.empty()) {
      source_.fail(value.offset, "an empty object; null leaves a layer alone");
    }
    return read_parts(value, kind);
  }
  if (value.type != Type::string && value.type != Type::null) {
    source_.fail(value.offset, expected_but_found(expected_value(kind), value.type));
  }
  if (value.type == Type::null) return {};
  return at_its_place(value, [&] { return string_value(value.string, kind); });
}

RuleValue MapReader::read_parts(const JsonValue& object, MapKind kind) const {
  RuleValue rule;
  for (const auto& [key, offset, value] : object.members) {
    const auto found =
        std::find_if(kPlaces.begin(), kPlaces.end(), [kind, &key = key](const PlaceEntry& entry) {
          return entry.kind == kind && entry.name == key;
        });
    if (found != kPlaces.end()) {
      rule[found->place] = read_quantizer(value);
    } else if (kind == MapKind::intrinsic && key == "accumulate") {
      rule.accumulate = read_accumulate(value);
    } else if (kind == MapKind::intrinsic && key == "outer") {
      rule.outer = read_outer(value);
    } else if (kind == MapKind::intrinsic && key == "order") {
      rule.order = read_order(value);
    } else if (kind == MapKind::optimizer && is_state_name(key)) {
      rule.states[key] = read_quantizer(value);
    } else {
      source_.fail(offset, "unknown key '" + key + "' in " + article(kind) + ' ' + to_string(kind) +
                               " map, expected " + keys_of(kind, "or") +
                               (kind == MapKind::optimizer ? " or the name of a state" : ""));
    }
  }
  if (kind != MapKind::intrinsic) return rule;
  for (const Place place : places_of(kind)) {
    if (!rule[place]) rule[place] = make_quantizer("none");
  }
  return rule;
}

std::shared_ptr<const Quantizer> MapReader::read_quantizer(const JsonValue& value) const {
  if (value.type == Type::null) return nullptr;
  if (value.type != Type::string) {
    source_.fail(value.offset, expected_but_found("a quantizer string or null", value.type));
  }
  return at_its_place(value, [&] { return make_quantizer(value.string); });
}

template <class Make>
auto MapReader::read_word(const JsonValue& value, std::string_view expected,
                          const Make& make) const {
  if (value.type != Type::string) {
    source_.fail(value.offset, expected_but_found(expected, value.type));
  }
  try {
    return make(value.string);
  } catch (const SpecError& error) {
    source_.fail(error.column() == 1 ? value.offset
                                     : source_.offset_in_string(value.offset, error.column() - 1),
                 error.reason());
  }
}

Accumulate MapReader::read_accumulate(const JsonValue& value) const {
  return read_word(value, kAccumulateWords, make_accumulate);
}

TapOrder MapReader::read_order(const JsonValue& value) const {
  return read_word(value, kTapOrderWords, make_tap_order);
}

OuterSum MapReader::read_outer(const JsonValue& value) const {
  constexpr std::string_view kExpected = "an object with 'accumulator' and 'every'";
  if (value.type != Type::object) {
    source_.fail(value.offset, expected_but_found(kExpected, value.type));
  }
  if (value.members.empty()) {
    source_.fail(value.offset, "an empty object, expected one with 'accumulator' or 'every'");
  }
  OuterSum outer;
  for (const auto& [key, offset, part] : value.members) {
    if (key == "accumulator") {
      outer.accumulator = read_quantizer(part);
    } else if (key == "every") {
      const char* const end = part.string.data() + part.string.size();
      const auto [stop, error] = std::from_chars(part.string.data(), end, outer.every);
      if (part.type != Type::number || error != std::errc{} || stop != end || outer.every < 1) {
        source_.fail(part.offset, "'every' must be an integer of 1 or more");
      }
    } else {
      source_.fail(offset,
                   "unknown key '" + key + "' in 'outer', expected 'accumulator' or 'every'");
    }
  }
  return outer;
}

}  // namespace tensorquant
