#ifndef TENSORQUANT_MODELS_FISHER_H_
#define TENSORQUANT_MODELS_FISHER_H_

#include <functional>
#include <memory>
#include <vector>

#include "tensorquant/models/model.h"
#include "tensorquant/search/layer_facts.h"
#include "tensorquant/search/layer_place.h"

namespace tensorquant {

// What the choices of a place would cost in KL if the change of the layer's output were small:
//
//   1/2 mean over images of sum_c p_c (g_c . d)^2
//
// with p the float model's probabilities, g_c the gradient of -log p_c at the layer's output, and d
// the change of that output by this choice alone. One forward pass and a backward pass a class, for
// any number of places and choices; the images need no labels. Scales that are found while the
// model runs are those of parts of kFisherImages images.
//
// scores[place][choice]. The model runs without quantizers and stays without. Throws an Error where
// a layer with products reads more than one layer's output, and where a layer with parameters has
// none.
std::vector<std::vector<double>> fisher_scores(
    const ModelInfo& info, ImageClassifier& model, const ImageDataset& data,
    const std::vector<LayerFacts>& facts, const std::vector<LayerPlace>& places,
    const std::vector<std::vector<std::shared_ptr<const Quantizer>>>& choices,
    const std::function<void(std::size_t images)>& after_images = {});

// The gradients of all classes are in memory at once.
inline constexpr std::size_t kFisherImages = 16;

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_FISHER_H_
