#ifndef TENSORQUANT_MODELS_TRAINING_H_
#define TENSORQUANT_MODELS_TRAINING_H_

#include <torch/optim/adam.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/data/dataset.h"
#include "tensorquant/data/safetensors.h"
#include "tensorquant/models/model.h"

namespace tensorquant {

struct TrainingOptions {
  int epochs = 3;
  std::size_t batch_size = 128;
  double learning_rate = 1e-3;  // at the start; it falls to 0 along a quarter of a cosine
  std::uint64_t seed = 0;       // of the order of the images
};

// Means over an epoch, of its batches so far.
struct EpochResult {
  double loss = 0;
  double accuracy = 0;
  std::size_t images = 0;
};

// What a model learns: to give samples the logits of their classes.
struct TrainingTask {
  using Samples = std::span<const std::size_t>;
  std::shared_ptr<torch::nn::Module> model;
  std::size_t count;                          // of samples
  std::function<at::Tensor(Samples)> logits;  // by the model: (samples, classes)
  std::function<at::Tensor(Samples)> labels;  // int64: (samples)
};
// The data must outlive it.
TrainingTask training_task(const ModelInfo& info, std::shared_ptr<ImageClassifier> model,
                           const ImageDataset& data);

// A training run, with Adam, that can stop after any batch and go on from its state elsewhere: with
// the same number of threads, the same bits as if it had never stopped. Quantizers in the model
// stay: it learns with them in place.
class Trainer {
 public:
  Trainer(TrainingTask task, TrainingOptions options);

  bool finished() const { return epoch() >= options_.epochs; }
  // Trains on the next batch. Throws an Error where the loss is no longer finite, with the first
  // layer whose output is not; the weights are then as they were before.
  void step();

  int epoch() const;  // from 0
  std::size_t batch() const { return steps_ % batches_; }
  std::size_t batches() const { return batches_; }  // in an epoch
  std::size_t steps() const { return steps_; }
  std::size_t all_steps() const { return batches_ * static_cast<std::size_t>(options_.epochs); }
  // One for each epoch, the last perhaps under way.
  const std::vector<EpochResult>& results() const { return results_; }

  // All that the run depends on beside the data and the options: weights, moments, counters, the
  // random steps of the layers. The weights are in it again, so one file that is replaced in one
  // step is always a state that was.
  Safetensors state();
  // Throws an Error that names `source` where the state is not one of such a run.
  void restore(const Safetensors& state, const std::string& source);

 private:
  std::vector<std::size_t> next_batch();
  [[noreturn]] void fail_at_loss(double loss, const std::vector<std::size_t>& samples) const;

  TrainingTask task_;
  TrainingOptions options_;
  std::size_t batches_;
  std::vector<std::string> names_;  // of the parameters
  torch::optim::Adam adam_;
  std::size_t steps_ = 0;
  std::vector<EpochResult> results_;
  std::vector<std::size_t> order_;  // of the images in epoch order_epoch_
  int order_epoch_ = -1;
};

// The order of the images in an epoch: every one once, shuffled by the seed and the epoch alone.
std::vector<std::size_t> shuffled_indices(std::size_t count, std::uint64_t seed, int epoch);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_TRAINING_H_
