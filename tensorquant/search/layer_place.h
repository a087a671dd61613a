#ifndef TENSORQUANT_SEARCH_LAYER_PLACE_H_
#define TENSORQUANT_SEARCH_LAYER_PLACE_H_

#include <compare>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensorquant/maps/override.h"
#include "tensorquant/maps/place.h"

namespace tensorquant {

// What a search chooses a quantizer for: the weight, the bias or the output of a layer.
struct LayerPlace {
  Place place = Place::weight;
  std::string layer;

  std::string text() const;  // "weight:conv1"
  bool operator==(const LayerPlace&) const = default;
};

// Reads that text. Throws an Error.
LayerPlace layer_place(std::string_view text);

// The maps that give each place its quantizer and leave those with null, and all other layers,
// alone. Rules stand in the order of places.
Override maps_of(std::span<const LayerPlace> places,
                 std::span<const std::shared_ptr<const Quantizer>> quantizers);

// Maps that leave the place of this layer alone and do all else as `maps` does.
Override without(const Override& maps, const LayerPlace& place, const NamedLayer& layer);

// Which places must have one width: numbers of places, in the order of their first ones. The places
// that a tie hits are one group; a place that two of them hit is an
// Error, as is a tie that hits none. A tie is "weights", "biases", "outputs" or a regular
// expression, of which a part of the place's text is enough.
std::vector<std::vector<std::size_t>> groups_of(std::span<const LayerPlace> places,
                                                std::span<const std::string> ties);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_LAYER_PLACE_H_
