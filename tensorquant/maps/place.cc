#include "tensorquant/maps/place.h"

#include "tensorquant/base/random.h"

namespace tensorquant {
namespace {

constexpr bool stand_in_order() {
  for (std::size_t i = 0; i < kPlaces.size(); ++i) {
    if (kPlaces[i].place != static_cast<Place>(i)) return false;
  }
  return true;
}
static_assert(stand_in_order());

}  // namespace

std::string to_string(MapKind kind) {
  switch (kind) {
    case MapKind::weights:
      return "weights";
    case MapKind::extrinsic:
      return "extrinsic";
    case MapKind::intrinsic:
      return "intrinsic";
    case MapKind::gradients:
      return "gradients";
    case MapKind::optimizer:
      break;
  }
  return "optimizer";
}

std::vector<Place> places_of(MapKind kind) {
  std::vector<Place> places;
  for (const PlaceEntry& entry : kPlaces) {
    if (entry.kind == kind) places.push_back(entry.place);
  }
  return places;
}

std::string to_string(Place place) {
  return std::string(kPlaces[static_cast<std::size_t>(place)].name);
}

std::string numbered(Place place, int index) {
  const std::string role(kPlaces[static_cast<std::size_t>(place)].role);
  return index == 0 ? role : role + std::to_string(index);
}

std::uint32_t stream_of(std::string_view layer, Place place, int index) {
  return stream_of(layer, numbered(place, index));
}

}  // namespace tensorquant
