#ifndef TENSORQUANT_MODELS_SENSITIVITY_H_
#define TENSORQUANT_MODELS_SENSITIVITY_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/libtorch/model/model_ref.h"
#include "tensorquant/models/classifier_runs.h"
#include "tensorquant/search/layer_facts.h"
#include "tensorquant/search/layer_place.h"
#include "tensorquant/search/operand.h"
#include "tensorquant/search/tensor_fit.h"

namespace tensorquant {

// The places of a model by a name or more: "weights" and "biases" of all layers with products,
// "outputs" of all layers that end in a ReLU or another activation, "input", or a place such as
// output:conv1. In the
// order of the layers, a weight before its layer's output. Throws an Error for what names no place.
std::vector<LayerPlace> places_of(const std::vector<LayerFacts>& facts, ModelRef model,
                                  const std::vector<std::string>& names);

// A quantizer for a place, and what it makes of the float model's tensor there.
struct PlaceChoice {
  std::shared_ptr<const Quantizer> quantizer;
  TensorFit fit;
  std::optional<CodeCounts> codes = {};  // of a parameter
};

struct ChoiceOptions {
  std::vector<int> widths =
      {};              // of fixed point; the fraction is that of the least squared error ...
  bool cover = false;  // ... or the finest one that covers all values
  std::vector<std::shared_ptr<const Quantizer>> quantizers = {};  // in place of widths, if any
  std::function<void()> after_batch = {};
};

// Choices for each place, in the order of widths or quantizers. The model runs without quantizers
// and stays without.
std::vector<std::vector<PlaceChoice>> choices_for(const ClassifierRuns& runs,
                                                  const std::vector<LayerPlace>& places,
                                                  const ChoiceOptions& options);

// The same for quantizers that are given for each place.
std::vector<std::vector<PlaceChoice>> choices_of(
    const ClassifierRuns& runs, const std::vector<LayerPlace>& places,
    const std::vector<std::vector<std::shared_ptr<const Quantizer>>>& quantizers,
    const ChoiceOptions& options);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_SENSITIVITY_H_
