#ifndef TENSORQUANT_MODELS_SUGGESTION_H_
#define TENSORQUANT_MODELS_SUGGESTION_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "tensorquant/calibration/range.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/models/calibration.h"

namespace tensorquant {

struct LayerRanges {
  std::string layer;
  ValueRange weight, bias, output;
};

// The ranges of all weights, and of all outputs as observe_outputs() finds them.
std::vector<LayerRanges> observe_ranges(
    const SampleRuns& samples,
    const std::function<void(std::size_t done, std::size_t all)>& after_sample = {});

// Maps with nearest,bits,F for each layer's weights, biases and outputs, each with its own F.
Override suggest_maps(int bits, const std::vector<LayerRanges>& ranges);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_SUGGESTION_H_
