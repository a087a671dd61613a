#include "tensorquant/models/evaluation.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cstdint>

#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/steps.h"

namespace tensorquant {

namespace {

// (images), whether an image has a logit that is NaN or infinite.
at::Tensor has_non_finite(const at::Tensor& logits) {
  return at::isfinite(logits).logical_not().any(1);
}

}  // namespace

std::size_t Evaluation::non_finite_images() const {
  return static_cast<std::size_t>(has_non_finite(logits).sum().item<std::int64_t>());
}

Evaluation evaluate(const ModelInfo& info, ImageClassifier& model, const ImageDataset& data,
                    std::size_t batch_size,
                    const std::function<void(const Evaluation&)>& after_batch) {
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_grad;
  model.eval();
  Evaluation result;
  std::vector<at::Tensor> logits;
  for (std::uint32_t batch = 0; result.images < data.count; ++batch) {
    const std::vector<std::size_t> indices = batch_indices(data, result.images, batch_size);
    set_inference_step(model, batch);
    logits.push_back(model.forward(preprocess(info, data, indices)));
    const at::Tensor hits = logits.back().argmax(1).eq(labels_of(data, indices));
    result.correct += static_cast<std::size_t>(hits.sum().item<std::int64_t>());
    result.images += indices.size();
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (after_batch) after_batch(result);
  }
  set_inference_step(model, 0);
  result.logits = at::cat(logits);
  return result;
}

Trace trace(ModelRef model, const std::function<void()>& compute) {
  Trace outputs;
  // Later layers may work in place.
  set_output_observer(model, [&](const std::string& layer, const at::Tensor& output) {
    outputs.emplace_back(layer, output.clone());
  });
  compute();
  set_output_observer(model, {});
  return outputs;
}

Trace trace_first_batch(const ModelInfo& info, ImageClassifier& model, const ImageDataset& data,
                        std::size_t batch_size) {
  const at::NoGradGuard no_grad;
  model.eval();
  return trace(model,
               [&] { model.forward(preprocess(info, data, batch_indices(data, 0, batch_size))); });
}

std::string first_non_finite_layer(ModelRef model, const std::function<void()>& compute) {
  std::string first;
  bool found = false;
  set_output_observer(model, [&](const std::string& layer, const at::Tensor& output) {
    if (found || at::isfinite(output).all().item<bool>()) return;
    first = layer;
    found = true;
  });
  compute();
  set_output_observer(model, {});
  return first;
}

std::string first_non_finite_layer(const ModelInfo& info, ImageClassifier& model,
                                   const ImageDataset& data, std::size_t batch_size,
                                   const Evaluation& result) {
  const at::NoGradGuard no_grad;
  model.eval();
  const auto image = has_non_finite(result.logits).to(at::kByte).argmax().item<std::int64_t>();
  const std::size_t batch = static_cast<std::size_t>(image) / batch_size;
  set_inference_step(model, static_cast<std::uint32_t>(batch));
  const std::string layer = first_non_finite_layer(model, [&] {
    model.forward(preprocess(info, data, batch_indices(data, batch * batch_size, batch_size)));
  });
  set_inference_step(model, 0);
  return layer;
}

}  // namespace tensorquant
