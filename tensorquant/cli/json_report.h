#ifndef TENSORQUANT_CLI_JSON_REPORT_H_
#define TENSORQUANT_CLI_JSON_REPORT_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/maps/override.h"

namespace tensorquant::cli {

// [{"layer": "conv1", "type": "Conv2d", "weight": "nearest,8,4", "bias": null, ...}]
nlohmann::ordered_json to_json(const std::vector<LayerSummary>& layers);

// {"weights": {...}, "extrinsic": {...}}
nlohmann::ordered_json to_json(const Override& maps);

// What is not known is null.
template <class T>
nlohmann::ordered_json or_null(const std::optional<T>& x) {
  return x ? nlohmann::ordered_json(*x) : nlohmann::ordered_json(nullptr);
}

// The value on stdout, over several lines: what every --json writes. NaN and the infinities, for
// which JSON has no numbers, are the strings "nan", "inf" and "-inf".
void print(nlohmann::ordered_json value);

// Objects with the same keys as CSV of RFC 4180: a line with the keys, and one for each object.
// Numbers as print() writes them, nothing for null, objects as JSON.
std::string csv(const std::vector<std::string>& keys, nlohmann::ordered_json objects);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_JSON_REPORT_H_
