#ifndef TENSORQUANT_MAPS_PLACE_H_
#define TENSORQUANT_MAPS_PLACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tensorquant {

// The maps that a model is overridden with. The last two are about training alone.
enum class MapKind { weights, extrinsic, intrinsic, gradients, optimizer };
inline constexpr std::array kMapKinds = {MapKind::weights, MapKind::extrinsic, MapKind::intrinsic,
                                         MapKind::gradients, MapKind::optimizer};
std::string to_string(MapKind kind);  // "weights"

// What one quantizer acts on in a layer.
enum class Place : std::size_t {
  weight,
  bias,
  output,
  product,
  accumulator,
  error,            // the gradient of an output as it arrives
  weight_gradient,  // as the optimizer takes it
  bias_gradient,
  state,   // what an optimizer keeps about a parameter: momentum, exp_avg, ...
  update,  // a parameter as an optimizer leaves it
};

struct PlaceEntry {
  Place place;
  MapKind kind;           // of the map that chooses its quantizer
  std::string_view name;  // its key in a map's JSON
  std::string_view role;  // in the name of a random stream
};

// The one list of places, in the order of Place. What reads and writes maps, names streams and
// shows what is in a layer goes through it.
inline constexpr std::array kPlaces = {
    PlaceEntry{Place::weight, MapKind::weights, "weight", "weight"},
    PlaceEntry{Place::bias, MapKind::weights, "bias", "bias"},
    PlaceEntry{Place::output, MapKind::extrinsic, "output", "output"},
    PlaceEntry{Place::product, MapKind::intrinsic, "product", "product"},
    PlaceEntry{Place::accumulator, MapKind::intrinsic, "accumulator", "accumulator"},
    PlaceEntry{Place::error, MapKind::gradients, "error", "error"},
    PlaceEntry{Place::weight_gradient, MapKind::gradients, "weight", "gradient"},
    PlaceEntry{Place::bias_gradient, MapKind::gradients, "bias", "gradient"},
    PlaceEntry{Place::state, MapKind::optimizer, "state", "state"},
    PlaceEntry{Place::update, MapKind::optimizer, "update", "update"},
};

std::vector<Place> places_of(MapKind kind);
std::string to_string(Place place);  // its key: "weight"

// The role of a layer's second, third ... parameter or output: "weight1", "weight2".
std::string numbered(Place place, int index);

// The random stream of a place: see stream_of(layer, role) in base/random.h. Gradients, states and
// updates have the full name of their parameter, such as "conv1.weight", in place of the layer's,
// and no index; the role of a state ends in its own name: "state.exp_avg".
std::uint32_t stream_of(std::string_view layer, Place place, int index = 0);

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_PLACE_H_
