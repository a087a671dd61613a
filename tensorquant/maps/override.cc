#include "tensorquant/maps/override.h"

#include "tensorquant/base/error.h"
#include "tensorquant/maps/json_text.h"
#include "tensorquant/maps/map_reader.h"

namespace tensorquant {
namespace {

Override read(const JsonText& source) {
  const JsonValue maps = source.parse();
  if (maps.type != JsonValue::Type::object) {
    source.fail(maps.offset,
                "expected an object with 'weights', 'extrinsic' and 'intrinsic', found " +
                    std::string(describe(maps.type)));
  }
  const MapReader reader(source);
  Override result;
  for (const auto& [key, offset, value] : maps.members) {
    if (key == "weights") {
      result.weights = reader.read(value, MapKind::weights);
    } else if (key == "extrinsic") {
      result.extrinsic = reader.read(value, MapKind::extrinsic);
    } else if (key == "intrinsic") {
      result.intrinsic = reader.read(value, MapKind::intrinsic);
    } else {
      source.fail(offset, "unknown map '" + key +
                              "', expected 'weights', 'extrinsic' or 'intrinsic'; a file with one "
                              "map alone is read as such (--weights, --extrinsic, --intrinsic, "
                              "QuantizerMap::from_file)");
    }
  }
  return result;
}

void check_kind(const QuantizerMap& map, MapKind kind) {
  if (map.empty() || map.kind() == kind) return;
  throw Error("the " + to_string(kind) + " map was made as a map of kind '" +
              to_string(map.kind()) + "': give MapKind::" + to_string(kind) + " where it is made");
}

}  // namespace

Override Override::from_file(const std::filesystem::path& path) {
  return read(JsonText(read_map_file(path), path.string()));
}

Override Override::from_json(std::string_view text) { return read(JsonText(text)); }

void Override::check_kinds() const {
  check_kind(weights, MapKind::weights);
  check_kind(extrinsic, MapKind::extrinsic);
  check_kind(intrinsic, MapKind::intrinsic);
}

std::string Override::to_json() const {
  check_kinds();
  std::string text = "{";
  for (const QuantizerMap* map : {&weights, &extrinsic, &intrinsic}) {
    if (map->empty()) continue;
    if (text.size() > 1) text += ',';
    text += json_quoted(to_string(map->kind())) + ':' + map->to_json();
  }
  return text + '}';
}

}  // namespace tensorquant
