#ifndef TENSORQUANT_MODELS_PLACE_TENSORS_H_
#define TENSORQUANT_MODELS_PLACE_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "tensorquant/models/classifier_runs.h"
#include "tensorquant/search/layer_place.h"
#include "tensorquant/search/tensor_fit.h"

namespace tensorquant {

// What the float model's tensor at a place holds, and what a quantizer makes of it.
struct PlaceTensor {
  std::map<int, std::uint64_t> octaves;  // how many magnitudes are in [2^n, 2^(n+1))
  std::uint64_t values = 0;              // zeros too
  TensorFit fit;
};

// One of each place, with a quantizer for each. The model runs without quantizers, and stays
// without; outputs have no values where there are no inputs.
std::vector<PlaceTensor> place_tensors(
    const ClassifierRuns& runs, const std::vector<LayerPlace>& places,
    const std::vector<std::shared_ptr<const Quantizer>>& quantizers);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_PLACE_TENSORS_H_
