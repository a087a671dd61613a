#ifndef TENSORQUANT_REPORT_REPORT_H_
#define TENSORQUANT_REPORT_REPORT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/report/evaluated_map.h"
#include "tensorquant/search/cost.h"
#include "tensorquant/search/layer_facts.h"
#include "tensorquant/search/tensor_fit.h"

namespace tensorquant {

// What the float model's tensor at a place holds, and what the map's quantizer makes of it.
struct PlaceValues {
  std::map<int, std::uint64_t> octaves;  // how many magnitudes are in [2^n, 2^(n+1))
  std::uint64_t values = 0;              // zeros too
  TensorFit fit;
  std::optional<int> idle_bits = {};
};

// A place under the map that the report tells of.
struct ReportedPlace {
  PlaceFormat format;
  std::optional<PlaceValues> values = {};
  // The format's step, where it has one everywhere, and its largest magnitude.
  std::optional<double> step = {}, bound = {};
};

// Bits of a layer's accumulator.
struct ReportedAccumulator {
  std::optional<int> given, seen, worst_case;
};

// All that a report tells. What is empty is not known, and the page says which command tells it.
struct Report {
  std::string store;   // the folder
  std::string shared;  // what all records share, as JSON
  EvaluatedMaps evaluated;
  // Of the model, in the order of execution.
  std::vector<LayerFacts> layers;
  std::string technology;  // whose energies those of the costs are, with its source
  // The map that pages about single places tell of, and why that one.
  std::string map_name, map_reason;
  std::vector<ReportedPlace> places;
  std::optional<MapCost> cost;                               // of that map
  std::vector<LayerFormats> formats;                         // its layers', one of each of `layers`
  std::vector<std::pair<std::string, MapCost>> comparisons;  // "float", "8 bits", ...
  std::vector<ReportedAccumulator> accumulators;             // one of each of `layers`
};

// The libraries that draw, as JavaScript: Vega, Vega-Lite and Vega-Embed. Without them a report has
// tables alone.
struct ChartLibraries {
  std::vector<std::string> scripts;
};

// All places of the evaluated maps and of the map that is told of, in the order of layers, or where
// that is not known in that of their names.
std::vector<std::string> all_places(const Report& report);

// The map that a report tells of where none is named: of those that were evaluated on test images,
// the cheapest. Null where there is none.
const EvaluatedMap* chosen_map(const EvaluatedMaps& evaluated);

// One HTML file that needs no network.
std::string report_html(const Report& report, const ChartLibraries& libraries);

}  // namespace tensorquant

#endif  // TENSORQUANT_REPORT_REPORT_H_
