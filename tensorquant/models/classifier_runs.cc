#include "tensorquant/models/classifier_runs.h"

#include <utility>

namespace tensorquant {

at::Tensor ClassifierRuns::logits(Tensors x) const {
  for (const Stage& stage : stages) x = stage(std::move(x));
  return x.front();
}

ClassifierRuns classifier_runs(const ModelInfo& info, ImageClassifier& model,
                               const ImageDataset& data, std::size_t batch_size) {
  ClassifierRuns runs;
  runs.model = &model;
  for (ImageClassifier::Stage& stage : model.stages()) {
    runs.stages.push_back([run = std::move(stage)](ClassifierRuns::Tensors x) {
      return ClassifierRuns::Tensors{run(std::move(x.front()))};
    });
  }
  runs.samples = data.count;
  runs.batches = (data.count + batch_size - 1) / batch_size;
  runs.inputs = [&info, &data, batch_size](std::size_t batch) {
    return ClassifierRuns::Tensors{
        preprocess(info, data, batch_indices(data, batch * batch_size, batch_size))};
  };
  runs.labels.assign(data.labels.begin(), data.labels.end());
  return runs;
}

}  // namespace tensorquant
