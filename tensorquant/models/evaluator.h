#ifndef TENSORQUANT_MODELS_EVALUATOR_H_
#define TENSORQUANT_MODELS_EVALUATOR_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "tensorquant/maps/override.h"
#include "tensorquant/models/classifier_runs.h"
#include "tensorquant/search/logit_metrics.h"

namespace tensorquant {

// A model on a set of samples, for one map after the other. What evaluate() gives, in a part of the
// time: each call begins at the first stage of the model in which the maps differ from those of the
// call before.
class Evaluator {
 public:
  // `after_batch` is called after each batch; what it throws ends the call.
  explicit Evaluator(ClassifierRuns runs, std::function<void()> after_batch = {});

  // (samples, classes). Throws as apply().
  at::Tensor logits(const Override& maps);
  // Against those without maps, which are computed once. Samples without labels are of the classes
  // that these say.
  LogitMetrics metrics(const Override& maps);

 private:
  using Tensors = ClassifierRuns::Tensors;

  void add_unseen_layers();
  at::Tensor compute_batch(std::size_t batch, std::size_t first_stage);
  std::vector<std::string> settings() const;
  bool keeps(const Tensors& inputs);

  ClassifierRuns runs_;
  std::function<void()> after_batch_;
  std::vector<std::vector<std::string>> layers_;  // of each stage
  std::vector<std::string> settings_;             // of each stage, in the call before
  // inputs_[batch][stage] in the call before; fewer stages where they would take too much memory.
  std::vector<std::vector<Tensors>> inputs_;
  std::size_t kept_bytes_ = 0;
  at::Tensor float_logits_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_EVALUATOR_H_
