#ifndef TENSORQUANT_MODELS_EVALUATION_H_
#define TENSORQUANT_MODELS_EVALUATION_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/data/dataset.h"
#include "tensorquant/libtorch/model/model_ref.h"
#include "tensorquant/models/model.h"

namespace tensorquant {

struct Evaluation {
  std::size_t images = 0;
  std::size_t correct = 0;
  double seconds = 0;
  at::Tensor logits;  // (images, classes), float32

  // Images with a logit that is NaN or infinite.
  std::size_t non_finite_images() const;

  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(images); }
};

// The images of a data set in order, in evaluation mode and without gradients. The random step of
// all layers is the number of the batch, from 0: random rounding depends on the batch size.
// after_batch sees what is done so far (without logits); what it throws ends the evaluation.
Evaluation evaluate(const ModelInfo& info, ImageClassifier& model, const ImageDataset& data,
                    std::size_t batch_size,
                    const std::function<void(const Evaluation&)>& after_batch = {});

using Trace = std::vector<std::pair<std::string, at::Tensor>>;

// The output of each layer while the model computes, in the order of execution.
Trace trace(ModelRef model, const std::function<void()>& compute);
// That of the first batch of such an evaluation.
Trace trace_first_batch(const ModelInfo& info, ImageClassifier& model, const ImageDataset& data,
                        std::size_t batch_size);

// The first layer, in the order of execution, with an output that is NaN or infinite while the
// model computes; "" where there is none.
std::string first_non_finite_layer(ModelRef model, const std::function<void()>& compute);

// That layer for an evaluation which has given such logits: computes the first batch with some
// again.
std::string first_non_finite_layer(const ModelInfo& info, ImageClassifier& model,
                                   const ImageDataset& data, std::size_t batch_size,
                                   const Evaluation& result);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_EVALUATION_H_
