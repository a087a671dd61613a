#include "tensorquant/models/evaluator.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/steps.h"
#include "tensorquant/libtorch/model/walk.h"

namespace tensorquant {
namespace {

constexpr std::size_t kKeptBytes = std::size_t{1} << 30;

std::string spec_of(const std::shared_ptr<const Quantizer>& quantizer) {
  return quantizer == nullptr ? "" : quantizer->spec();
}

// All that decides what a layer makes of an input.
std::string settings_of(const QuantizableLayer& layer) {
  const QuantizableLayer::Plan* const plan = layer.attached();
  if (plan == nullptr) return "";
  const LayerQuantizers& q = plan->quantizers;
  return spec_of(q.weight) + '|' + spec_of(q.bias) + '|' + spec_of(q.output) + '|' + q.intrinsic +
         '|' + std::to_string(q.seed) + (q.keeps_elements ? "|elements" : "");
}

}  // namespace

Evaluator::Evaluator(const ModelInfo& info, ImageClassifier& model, const ImageDataset& data,
                     std::size_t batch_size, std::function<void()> after_batch)
    : info_(info),
      model_(model),
      data_(data),
      batch_size_(batch_size),
      after_batch_(std::move(after_batch)) {
  const at::NoGradGuard no_grad;
  model_.eval();
  strip(model_);
  at::Tensor x = preprocess(info_, data_, batch_indices(data_, 0, 1));
  set_output_observer(model_, [this](const std::string& layer, const at::Tensor&) {
    layers_.back().push_back(layer);
  });
  for (const ImageClassifier::Stage& stage : model_.stages()) {
    layers_.emplace_back();
    x = stage(x);
  }
  set_output_observer(model_, {});
  inputs_.resize((data_.count + batch_size_ - 1) / batch_size_);
}

std::vector<std::string> Evaluator::settings() const {
  std::map<std::string, std::string> of_layer;
  for (const ModelLayer& layer : layers_of(model_)) {
    if (layer.twin != nullptr) of_layer[layer.name()] = settings_of(*layer.twin);
  }
  std::vector<std::string> all;
  for (const std::vector<std::string>& layers : layers_) {
    std::string& text = all.emplace_back();
    for (const std::string& layer : layers) text += of_layer.at(layer) + '\n';
  }
  return all;
}

bool Evaluator::keeps(const at::Tensor& input) {
  const auto bytes = static_cast<std::size_t>(input.nbytes());
  if (kept_bytes_ + bytes > kKeptBytes) return false;
  kept_bytes_ += bytes;
  return true;
}

at::Tensor Evaluator::compute_batch(std::size_t batch, std::size_t first_stage) {
  const std::vector<ImageClassifier::Stage> stages = model_.stages();
  std::vector<at::Tensor>& inputs = inputs_[batch];
  if (inputs.empty()) {
    inputs.push_back(
        preprocess(info_, data_, batch_indices(data_, batch * batch_size_, batch_size_)));
    kept_bytes_ += inputs.back().nbytes();
  }
  first_stage = std::min(first_stage, inputs.size() - 1);
  at::Tensor x = inputs[first_stage];
  for (std::size_t stage = first_stage; stage < stages.size(); ++stage) {
    if (stage > first_stage) {
      if (stage < inputs.size()) {
        inputs[stage] = x;
      } else if (stage == inputs.size() && keeps(x)) {
        inputs.push_back(x);
      }
    }
    x = stages[stage](x);
  }
  return x;
}

at::Tensor Evaluator::logits(const Override& maps) {
  const at::NoGradGuard no_grad;
  apply(model_, maps);
  std::vector<std::string> now = settings();
  const auto changed = std::mismatch(now.begin(), now.end(), settings_.begin(), settings_.end());
  const auto first_stage = static_cast<std::size_t>(changed.first - now.begin());
  settings_.clear();  // until all batches are those of these maps
  std::vector<at::Tensor> logits;
  for (std::size_t batch = 0; batch < inputs_.size(); ++batch) {
    set_inference_step(model_, static_cast<std::uint32_t>(batch));
    logits.push_back(compute_batch(batch, std::min(first_stage, layers_.size() - 1)));
    if (after_batch_) after_batch_();
  }
  set_inference_step(model_, 0);
  settings_ = std::move(now);
  return at::cat(logits);
}

LogitMetrics Evaluator::metrics(const Override& maps) {
  if (!float_logits_.defined()) float_logits_ = logits({}).contiguous();
  const at::Tensor quantized = logits(maps).contiguous();
  const auto numbers = [](const at::Tensor& x) {
    return std::span<const float>(x.data_ptr<float>(), static_cast<std::size_t>(x.numel()));
  };
  return compare_logits(numbers(float_logits_), numbers(quantized),
                        static_cast<std::size_t>(info_.classes),
                        std::vector<std::int64_t>(data_.labels.begin(), data_.labels.end()));
}

}  // namespace tensorquant
