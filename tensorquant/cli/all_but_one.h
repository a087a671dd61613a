#ifndef TENSORQUANT_CLI_ALL_BUT_ONE_H_
#define TENSORQUANT_CLI_ALL_BUT_ONE_H_

#include <memory>
#include <vector>

#include "tensorquant/cli/search_setup.h"

namespace tensorquant::cli {

// The metrics of maps, and of the same without the quantizer of each place of a setup that was made
// for them.
struct AllButOne {
  LogitMetrics whole;
  std::vector<LogitMetrics> without;
};

AllButOne all_but_one(SearchSetup& setup, const Override& maps);

// The places that the maps quantize among these; what they get there stands in `quantizers`.
struct QuantizedPlaces {
  std::vector<LayerPlace> places;
  std::vector<std::vector<std::shared_ptr<const Quantizer>>> quantizers;
};

// Throws an Error where the maps quantize none of them.
QuantizedPlaces quantized_places(ModelRef model, const std::vector<LayerPlace>& places,
                                 const Override& maps);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_ALL_BUT_ONE_H_
