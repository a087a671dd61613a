#ifndef TENSORQUANT_MODELS_CLASSIFIER_RUNS_H_
#define TENSORQUANT_MODELS_CLASSIFIER_RUNS_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "tensorquant/data/dataset.h"
#include "tensorquant/models/model.h"

namespace tensorquant {

// A model that gives each sample a row of logits, and the samples that it is run on, in batches.
struct ClassifierRuns {
  using Tensors = std::vector<at::Tensor>;
  // A part of the model, which takes what the one before it gives; the first takes a batch's
  // inputs, the last gives the logits, (samples, classes), and nothing else.
  using Stage = std::function<Tensors(Tensors)>;

  torch::nn::Module* model = nullptr;
  std::vector<Stage> stages;
  std::size_t samples = 0, batches = 0;
  std::function<Tensors(std::size_t batch)> inputs;
  std::vector<std::int64_t> labels;  // the class of each sample; empty: nobody knows them

  at::Tensor logits(Tensors inputs) const;
};

// Of images. The model and the data must outlive it.
ClassifierRuns classifier_runs(const ModelInfo& info, ImageClassifier& model,
                               const ImageDataset& data, std::size_t batch_size);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_CLASSIFIER_RUNS_H_
