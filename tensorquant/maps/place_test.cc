#include "tensorquant/maps/place.h"

#include <gtest/gtest.h>

#include <string>

namespace tensorquant {
namespace {

// Streams are part of the numerics: a changed number changes every randomly rounded network. FNV-1a
// of "layer:role", computed in Python:
//   def stream(layer, role):
//       h = 0xcbf29ce484222325
//       for byte in f"{layer}:{role}".encode():
//           h = (h ^ byte) * 0x100000001b3 % 2**64
//       return h % 2**32
TEST(StreamOf, IsTheNumberOfTheDefinition) {
  struct Row {
    const char* layer;
    Place place;
    int index;
    std::uint32_t stream;
  };
  for (const Row& row : {Row{"", Place::weight, 0, 0x45df5241},
                         Row{"", Place::weight, 1, 0xba791450},
                         Row{"", Place::bias, 0, 0x19aa591c},
                         Row{"", Place::output, 0, 0xe00e313c},
                         Row{"", Place::output, 1, 0xb81d5917},
                         Row{"", Place::product, 0, 0x21984954},
                         Row{"", Place::accumulator, 0, 0xa5ed82a1},
                         Row{"conv1", Place::weight, 0, 0x59880be8},
                         Row{"conv1", Place::weight, 1, 0x222c21bb},
                         Row{"conv1", Place::bias, 0, 0xe850201d},
                         Row{"conv1", Place::output, 0, 0xd3f77065},
                         Row{"conv1", Place::output, 1, 0x2d73debc},
                         Row{"conv1", Place::product, 0, 0xd0418257},
                         Row{"conv1", Place::accumulator, 0, 0x2dc4b4c6},
                         Row{"layer1.0.conv2", Place::weight, 0, 0x2759fe85},
                         Row{"layer1.0.conv2", Place::weight, 1, 0xddebcbdc},
                         Row{"layer1.0.conv2", Place::bias, 0, 0x53e2f4c0},
                         Row{"layer1.0.conv2", Place::output, 0, 0xe1f356f8},
                         Row{"layer1.0.conv2", Place::output, 1, 0xf07c778b},
                         Row{"layer1.0.conv2", Place::product, 0, 0x206fa880},
                         Row{"layer1.0.conv2", Place::accumulator, 0, 0xdc387cad},
                         Row{"", Place::error, 0, 0x5a13c139},
                         Row{"", Place::weight_gradient, 0, 0x5e9451cd},
                         Row{"", Place::bias_gradient, 0, 0x5e9451cd},
                         Row{"", Place::state, 0, 0x29c1190e},
                         Row{"", Place::update, 0, 0xc73557bc},
                         Row{"conv1.weight", Place::error, 0, 0xd7173bec},
                         Row{"conv1.weight", Place::weight_gradient, 0, 0x4673297e},
                         Row{"conv1.weight", Place::bias_gradient, 0, 0x4673297e},
                         Row{"conv1.weight", Place::state, 0, 0xaa74e83f},
                         Row{"conv1.weight", Place::update, 0, 0x5e7edaa3},
                         Row{"conv1", Place::error, 1, 0x36ec9ecd}}) {
    EXPECT_EQ(stream_of(row.layer, row.place, row.index), row.stream)
        << row.layer << ':' << numbered(row.place, row.index);
  }
}

TEST(Numbered, BeginsWithThePlainName) {
  EXPECT_EQ(numbered(Place::weight, 0), "weight");
  EXPECT_EQ(numbered(Place::bias, 2), "bias2");
  EXPECT_EQ(numbered(Place::bias_gradient, 0), "gradient");
}

TEST(PlacesOf, DivideThePlacesAmongTheMaps) {
  std::size_t count = 0;
  for (const MapKind kind : kMapKinds) count += places_of(kind).size();
  EXPECT_EQ(count, kPlaces.size());
  EXPECT_EQ(places_of(MapKind::extrinsic), std::vector{Place::output});
  EXPECT_EQ(places_of(MapKind::gradients),
            (std::vector{Place::error, Place::weight_gradient, Place::bias_gradient}));
}

}  // namespace
}  // namespace tensorquant
