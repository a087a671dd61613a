// Quantizer maps and overrides in JSON: what parses has a canonical form that means the same, and
// can be explained. The first byte picks the kind of map.

#include <string>
#include <vector>

#include "fuzz/input.h"
#include "tensorquant/maps/override.h"

using namespace tensorquant;

namespace {

std::vector<std::string> layers() {
  return {"conv1",
          "features.0.conv",
          "features.10.bn",
          "fc1",
          "layer1.block0.downsample.conv",
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "",
          "output"};
}

void explain_all(const Override& maps) {
  const Explanation explanation = explain(maps, layers());
  require(explanation.layers.size() == layers().size(), "every layer is explained");
  for (const IdleRule& idle : explanation.idle) {
    require(idle.message().find('\n') == std::string::npos, "a message is one line");
  }
}

Override with(QuantizerMap map) {
  Override maps;
  switch (map.kind()) {
    case MapKind::weights:
      maps.weights = std::move(map);
      break;
    case MapKind::extrinsic:
      maps.extrinsic = std::move(map);
      break;
    case MapKind::intrinsic:
      maps.intrinsic = std::move(map);
      break;
  }
  return maps;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  constexpr MapKind kKinds[] = {MapKind::weights, MapKind::extrinsic, MapKind::intrinsic};
  const int choice = input.between(0, 3);
  only_errors([&] {
    if (choice == 3) {
      const Override maps = Override::from_json(input.text());
      require(Override::from_json(maps.to_json()) == maps, "the canonical form is the same maps");
      explain_all(maps);
    } else {
      const QuantizerMap map = QuantizerMap::from_json(input.text(), kKinds[choice]);
      require(QuantizerMap::from_json(map.to_json(), map.kind()) == map,
              "the canonical form is the same map");
      explain_all(with(map));
    }
  });
  return 0;
}
