#ifndef TENSORQUANT_MODELS_EVALUATOR_H_
#define TENSORQUANT_MODELS_EVALUATOR_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "tensorquant/maps/override.h"
#include "tensorquant/models/model.h"
#include "tensorquant/search/logit_metrics.h"

namespace tensorquant {

// A model on a set of images, for one map after the other. What evaluate() gives, in a part of the
// time: each call begins at the first stage of the model in which the maps differ from those of the
// call before.
class Evaluator {
 public:
  // Keeps references to the model and the data. `after_batch` is called after each batch; what it
  // throws ends the call.
  Evaluator(const ModelInfo& info, ImageClassifier& model, const ImageDataset& data,
            std::size_t batch_size, std::function<void()> after_batch = {});

  // (images, classes). Throws as apply().
  at::Tensor logits(const Override& maps);
  // Against those without maps, which are computed once.
  LogitMetrics metrics(const Override& maps);

 private:
  at::Tensor compute_batch(std::size_t batch, std::size_t first_stage);
  std::vector<std::string> settings() const;
  bool keeps(const at::Tensor& input);

  const ModelInfo& info_;
  ImageClassifier& model_;
  const ImageDataset& data_;
  std::size_t batch_size_;
  std::function<void()> after_batch_;
  std::vector<std::vector<std::string>> layers_;  // of each stage
  std::vector<std::string> settings_;             // of each stage, in the call before
  // inputs_[batch][stage] in the call before; fewer stages where they would take too much memory.
  std::vector<std::vector<at::Tensor>> inputs_;
  std::size_t kept_bytes_ = 0;
  at::Tensor float_logits_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_EVALUATOR_H_
