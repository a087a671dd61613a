#ifndef TENSORQUANT_MODELS_TENSOR_TOUR_H_
#define TENSORQUANT_MODELS_TENSOR_TOUR_H_

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/libtorch/model/walk.h"
#include "tensorquant/models/classifier_runs.h"
#include "tensorquant/search/layer_place.h"

namespace tensorquant {

std::map<std::string, ModelLayer> layers_by_name(ModelRef model);
// The layer's parameter of that name; undefined where it has none.
at::Tensor parameter_of(const ModelLayer& layer, const std::string& name);

// Called with the number of a place and a part of the float tensor there, and what is to be known
// of the part's axes.
using SeePart =
    std::function<void(std::size_t place, std::span<const float> part, const Context& context)>;

// Shows each place's tensor of the float model: parameters whole, outputs sample by sample, samples
// in order; an output without one row for each sample whole. The model runs without quantizers, and
// stays without.
class TensorTour {
 public:
  // Without inputs no outputs are shown. Keeps references. Throws an Error for a place that the
  // model does not have.
  TensorTour(const ClassifierRuns& runs, const std::vector<LayerPlace>& places,
             std::function<void()> after_batch = {});

  void operator()(const SeePart& see) const;

 private:
  void see_parameter(std::size_t i, const SeePart& see) const;
  void see_output(std::size_t i, const at::Tensor& output, std::int64_t samples,
                  const SeePart& see) const;

  const ClassifierRuns& runs_;
  const std::vector<LayerPlace>& places_;
  std::function<void()> after_batch_;
  std::map<std::string, ModelLayer> layers_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_TENSOR_TOUR_H_
