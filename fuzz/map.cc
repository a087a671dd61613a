// Quantizer maps and overrides in JSON: what parses has a canonical form that means the same, and
// can be explained. The first byte picks the kind of map.

#include <string>
#include <vector>

#include "fuzz/input.h"
#include "tensorquant/maps/override.h"

using namespace tensorquant;

namespace {

std::vector<NamedLayer> layers() {
  using enum NamedLayer::Kind;
  return {"conv1",
          {"features.0.conv", "Conv2d"},
          {"features.0.Flatten", "Flatten", mover},
          {"input:image", "", input},
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
  maps[map.kind()] = std::move(map);
  return maps;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  constexpr int kKinds = static_cast<int>(kMapKinds.size());
  const int choice = input.between(0, kKinds);
  only_errors([&] {
    if (choice == kKinds) {
      const Override maps = Override::from_json(input.text());
      require(Override::from_json(maps.to_json()) == maps, "the canonical form is the same maps");
      explain_all(maps);
    } else {
      const QuantizerMap map =
          QuantizerMap::from_json(input.text(), kMapKinds[static_cast<std::size_t>(choice)]);
      require(QuantizerMap::from_json(map.to_json(), map.kind()) == map,
              "the canonical form is the same map");
      explain_all(with(map));
    }
  });
  return 0;
}
