#ifndef TENSORQUANT_MODELS_LAYER_COSTS_H_
#define TENSORQUANT_MODELS_LAYER_COSTS_H_

#include <optional>
#include <vector>

#include "tensorquant/libtorch/model/model_ref.h"
#include "tensorquant/models/model.h"
#include "tensorquant/search/cost.h"

namespace tensorquant {

// The layers of a model in the order of execution. The model runs once, without its quantizers.
std::vector<LayerFacts> layer_facts(const ModelInfo& info, ImageClassifier& model);

// What the quantizers in the model make of each of these layers.
std::vector<LayerFormats> layer_formats(ModelRef model, const std::vector<LayerFacts>& facts);

// For each of these layers, the bits of an accumulator that never overflows: with the weights as
// they are quantized now where the formats have their codes, and weights, bias and input are in
// fixed point; else from formats alone; nothing for layers without products, and where these are no
// whole numbers of one unit.
std::vector<std::optional<int>> worst_case_accumulators(ModelRef model,
                                                        const std::vector<LayerFacts>& facts,
                                                        const std::vector<LayerFormats>& formats,
                                                        const MapCost& cost);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_LAYER_COSTS_H_
