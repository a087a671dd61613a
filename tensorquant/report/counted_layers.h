#ifndef TENSORQUANT_REPORT_COUNTED_LAYERS_H_
#define TENSORQUANT_REPORT_COUNTED_LAYERS_H_

#include <string>
#include <vector>

#include "tensorquant/maps/override.h"
#include "tensorquant/report/report.h"

namespace tensorquant {

// What facts about a model's layers tell, without the model: costs of maps, formats of layers.
class CountedLayers {
 public:
  // Throws an Error for facts that do not fit together.
  CountedLayers(std::vector<LayerFacts> facts, const Technology& technology);

  // layers, technology, comparisons, and the cost of each evaluated map of more than one place.
  void add_costs(Report& report) const;
  // Places, cost, formats and accumulators of the map, as JSON.
  void add_map(Report& report, const std::string& maps) const;

 private:
  struct Formats {
    std::vector<LayerFormats> layers;
    std::vector<PlaceFormat> places;
  };
  Formats formats_of(const Override& maps) const;

  std::string technology_;
  CostFunction cost_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_REPORT_COUNTED_LAYERS_H_
