#ifndef TENSORQUANT_MAPS_PLACE_H_
#define TENSORQUANT_MAPS_PLACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tensorquant {

// The three maps that a model is overridden with.
enum class MapKind { weights, extrinsic, intrinsic };
inline constexpr std::array kMapKinds = {MapKind::weights, MapKind::extrinsic, MapKind::intrinsic};
std::string to_string(MapKind kind);  // "weights"

// What one quantizer acts on in a layer.
enum class Place : std::size_t { weight, bias, output, product, accumulator };

struct PlaceEntry {
  Place place;
  MapKind kind;           // of the map that chooses its quantizer
  std::string_view name;  // its key in a map's JSON, and its role in the name of a random stream
};

// The one list of places, in the order of Place. What reads and writes maps, names streams and
// shows what is in a layer goes through it.
inline constexpr std::array kPlaces = {
    PlaceEntry{Place::weight, MapKind::weights, "weight"},
    PlaceEntry{Place::bias, MapKind::weights, "bias"},
    PlaceEntry{Place::output, MapKind::extrinsic, "output"},
    PlaceEntry{Place::product, MapKind::intrinsic, "product"},
    PlaceEntry{Place::accumulator, MapKind::intrinsic, "accumulator"},
};

std::vector<Place> places_of(MapKind kind);
std::string to_string(Place place);  // "weight"

// A layer's second, third ... parameter or output has a name of its own: "weight1", "weight2".
std::string numbered(Place place, int index);

// The random stream of a place: see stream_of(layer, role) in base/random.h.
std::uint32_t stream_of(std::string_view layer, Place place, int index = 0);

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_PLACE_H_
