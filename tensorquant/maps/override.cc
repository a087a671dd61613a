#include "tensorquant/maps/override.h"

#include <algorithm>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/json_text.h"
#include "tensorquant/maps/map_reader.h"

namespace tensorquant {
namespace {

// "'weights', 'extrinsic' and 'intrinsic'"
std::string names_of_maps(std::string_view conjunction) {
  std::string names;
  for (const MapKind kind : kMapKinds) {
    if (kind != kMapKinds.front()) {
      names += kind == kMapKinds.back() ? ' ' + std::string(conjunction) + ' ' : ", ";
    }
    names += '\'' + to_string(kind) + '\'';
  }
  return names;
}

Override read(const JsonText& source) {
  const JsonValue maps = source.parse();
  if (maps.type != JsonValue::Type::object) {
    source.fail(maps.offset, "expected an object with " + names_of_maps("and") + ", found " +
                                 std::string(describe(maps.type)));
  }
  const MapReader reader(source);
  Override result;
  for (const auto& [key, offset, value] : maps.members) {
    const auto kind = std::find_if(kMapKinds.begin(), kMapKinds.end(),
                                   [&name = key](MapKind k) { return to_string(k) == name; });
    if (kind != kMapKinds.end()) {
      result[*kind] = reader.read(value, *kind);
    } else {
      source.fail(offset, "unknown map '" + key + "', expected " + names_of_maps("or") +
                              "; a file with one map alone is read as such (--weights, "
                              "--extrinsic, --intrinsic, QuantizerMap::from_file)");
    }
  }
  return result;
}

// The weights, extrinsic, ... of something that has one for each kind.
template <class All>
auto& member(All& all, MapKind kind) {
  switch (kind) {
    case MapKind::weights:
      return all.weights;
    case MapKind::extrinsic:
      return all.extrinsic;
    case MapKind::intrinsic:
      return all.intrinsic;
    case MapKind::gradients:
      return all.gradients;
    case MapKind::optimizer:
      break;
  }
  return all.optimizer;
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

QuantizerMap& Override::operator[](MapKind kind) { return member(*this, kind); }
const QuantizerMap& Override::operator[](MapKind kind) const { return member(*this, kind); }

const Rule*& LayerExplanation::operator[](MapKind kind) { return member(*this, kind); }
const Rule* LayerExplanation::operator[](MapKind kind) const { return member(*this, kind); }

bool Override::empty() const {
  return std::all_of(kMapKinds.begin(), kMapKinds.end(),
                     [this](MapKind kind) { return (*this)[kind].empty(); });
}

void Override::refuse_training() const {
  for (const MapKind kind : {MapKind::gradients, MapKind::optimizer}) {
    if ((*this)[kind].empty()) continue;
    throw Error((*this)[kind].rules().front().origin + ": the " + to_string(kind) +
                " map is for tensorquant.torch in Python; here nothing of training is quantized");
  }
}

void Override::check_kinds() const {
  for (const MapKind kind : kMapKinds) check_kind((*this)[kind], kind);
}

std::string Override::to_json() const {
  check_kinds();
  std::string text = "{";
  for (const MapKind kind : kMapKinds) {
    const QuantizerMap& map = (*this)[kind];
    if (map.empty()) continue;
    if (text.size() > 1) text += ',';
    text += json_quoted(to_string(kind)) + ':' + map.to_json();
  }
  return text + '}';
}

}  // namespace tensorquant
