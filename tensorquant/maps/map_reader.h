#ifndef TENSORQUANT_MAPS_MAP_READER_H_
#define TENSORQUANT_MAPS_MAP_READER_H_

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "tensorquant/maps/json_text.h"
#include "tensorquant/maps/quantizer_map.h"

namespace tensorquant {

// The file's bytes. Throws an Error where there is no such file, it is a directory or cannot be
// read.
std::string read_map_file(const std::filesystem::path& path);

bool is_map_name(std::string_view key);  // "weights", "extrinsic", ...

// Turns JSON into maps; every Error names the place of the key or value at fault. Private to maps/.
class MapReader {
 public:
  explicit MapReader(const JsonText& source) : source_(source) {}

  // From an object of rules or a quantizer string for every layer.
  QuantizerMap read(const JsonValue& value, MapKind kind) const;

 private:
  void refuse_three_in_one(const JsonValue& rules) const;
  RuleValue read_rule(const JsonValue& value, MapKind kind) const;
  RuleValue read_parts(const JsonValue& object, MapKind kind) const;
  // Null for null.
  std::shared_ptr<const Quantizer> read_quantizer(const JsonValue& value) const;
  // make(), its Errors with the place in the string that it reads.
  template <class Make>
  auto at_its_place(const JsonValue& value, const Make& make) const;
  // One of the words that make_accumulate or make_tap_order takes.
  Accumulate read_accumulate(const JsonValue& value) const;
  TapOrder read_order(const JsonValue& value) const;
  template <class Make>
  auto read_word(const JsonValue& value, std::string_view expected, const Make& make) const;
  OuterSum read_outer(const JsonValue& value) const;

  const JsonText& source_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_MAP_READER_H_
