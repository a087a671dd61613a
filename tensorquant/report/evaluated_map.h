#ifndef TENSORQUANT_REPORT_EVALUATED_MAP_H_
#define TENSORQUANT_REPORT_EVALUATED_MAP_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/search/cost.h"
#include "tensorquant/search/logit_metrics.h"
#include "tensorquant/store/store.h"

namespace tensorquant {

// What a map gives one place. The text stands on one line of valid UTF-8, whatever the layer's name
// is.
struct PlaceFormat {
  std::string place;      // "weight:conv1"
  std::string quantizer;  // "nearest,8,4"
  int bits = 32;
};

// A record of a store: a map, evaluated on a set of images.
struct EvaluatedMap {
  std::string name;     // 16 digits, from its key
  std::string maps;     // canonical JSON
  std::string data;     // the images' fingerprint
  std::string purpose;  // "score", "search", "test"; "" where none is told
  std::vector<PlaceFormat> places;
  LogitMetrics metrics;
  std::optional<double> seconds = {};  // that the evaluation took
  std::optional<MapCost> cost = {};

  double accuracy() const;
  // The width that all of `places` places have; nothing where they differ or are not all there.
  std::optional<int> uniform_bits(std::size_t places) const;
};

// A record that is an error in place of a result.
struct FailedMap {
  std::string name, maps, data, purpose;  // as of an EvaluatedMap; `maps` is "" where none is told
  std::string error;
};

// In the order of their keys. Other records that tell no metrics are left out and counted.
struct EvaluatedMaps {
  std::vector<EvaluatedMap> maps;
  std::vector<FailedMap> failed;
  std::size_t others = 0;
};
EvaluatedMaps evaluated_maps(const Store& store);

// What maps, as canonical JSON, give which places, in their order. A rule for many layers has its
// pattern in place of a name.
std::vector<PlaceFormat> places_in(const std::string& maps);

}  // namespace tensorquant

#endif  // TENSORQUANT_REPORT_EVALUATED_MAP_H_
