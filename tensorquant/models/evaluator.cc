#include "tensorquant/models/evaluator.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
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

std::vector<std::int64_t> classes_of(const at::Tensor& logits) {
  const at::Tensor classes = logits.argmax(1).contiguous();
  return {classes.data_ptr<std::int64_t>(), classes.data_ptr<std::int64_t>() + classes.numel()};
}

}  // namespace

Evaluator::Evaluator(ClassifierRuns runs, std::function<void()> after_batch)
    : runs_(std::move(runs)), after_batch_(std::move(after_batch)) {
  const at::NoGradGuard no_grad;
  runs_.model->eval();
  strip(*runs_.model);
  Tensors x = runs_.inputs(0);
  set_output_observer(*runs_.model, [this](const std::string& layer, const at::Tensor&) {
    layers_.back().push_back(layer);
  });
  for (const ClassifierRuns::Stage& stage : runs_.stages) {
    layers_.emplace_back();
    x = stage(std::move(x));
  }
  set_output_observer(*runs_.model, {});
  add_unseen_layers();
  inputs_.resize(runs_.batches);
}

// Those that nobody has seen, inputs among them, may act anywhere: they count as of the first
// stage.
void Evaluator::add_unseen_layers() {
  std::set<std::string> seen;
  for (const std::vector<std::string>& layers : layers_) seen.insert(layers.begin(), layers.end());
  for (const ModelLayer& layer : layers_of(*runs_.model)) {
    if (layer.twin != nullptr && !seen.contains(layer.name())) {
      layers_.front().push_back(layer.name());
    }
  }
}

std::vector<std::string> Evaluator::settings() const {
  std::map<std::string, std::string> of_layer;
  for (const ModelLayer& layer : layers_of(*runs_.model)) {
    if (layer.twin != nullptr) of_layer[layer.name()] = settings_of(*layer.twin);
  }
  std::vector<std::string> all;
  for (const std::vector<std::string>& layers : layers_) {
    std::string& text = all.emplace_back();
    for (const std::string& layer : layers) {
      // A layer's second output is seen under a name that is no layer's.
      if (const auto found = of_layer.find(layer); found != of_layer.end()) {
        text += found->second + '\n';
      }
    }
  }
  return all;
}

bool Evaluator::keeps(const Tensors& inputs) {
  std::size_t bytes = 0;
  for (const at::Tensor& x : inputs) bytes += x.nbytes();
  if (kept_bytes_ + bytes > kKeptBytes) return false;
  kept_bytes_ += bytes;
  return true;
}

at::Tensor Evaluator::compute_batch(std::size_t batch, std::size_t first_stage) {
  std::vector<Tensors>& inputs = inputs_[batch];
  if (inputs.empty()) {
    inputs.push_back(runs_.inputs(batch));
    for (const at::Tensor& x : inputs.back()) kept_bytes_ += x.nbytes();
  }
  first_stage = std::min(first_stage, inputs.size() - 1);
  Tensors x = inputs[first_stage];
  for (std::size_t stage = first_stage; stage < runs_.stages.size(); ++stage) {
    if (stage > first_stage) {
      if (stage < inputs.size()) {
        inputs[stage] = x;
      } else if (stage == inputs.size() && keeps(x)) {
        inputs.push_back(x);
      }
    }
    x = runs_.stages[stage](std::move(x));
  }
  return x.front();
}

at::Tensor Evaluator::logits(const Override& maps) {
  const at::NoGradGuard no_grad;
  apply(*runs_.model, maps);
  std::vector<std::string> now = settings();
  const auto changed = std::mismatch(now.begin(), now.end(), settings_.begin(), settings_.end());
  const auto first_stage = static_cast<std::size_t>(changed.first - now.begin());
  settings_.clear();  // until all batches are those of these maps
  std::vector<at::Tensor> logits;
  for (std::size_t batch = 0; batch < inputs_.size(); ++batch) {
    set_inference_step(*runs_.model, static_cast<std::uint32_t>(batch));
    logits.push_back(compute_batch(batch, std::min(first_stage, layers_.size() - 1)));
    if (after_batch_) after_batch_();
  }
  set_inference_step(*runs_.model, 0);
  settings_ = std::move(now);
  return at::cat(logits);
}

LogitMetrics Evaluator::metrics(const Override& maps) {
  if (!float_logits_.defined()) {
    float_logits_ = logits({}).contiguous();
    if (runs_.labels.empty()) runs_.labels = classes_of(float_logits_);
  }
  const at::Tensor quantized = logits(maps).contiguous();
  const auto numbers = [](const at::Tensor& x) {
    return std::span<const float>(x.data_ptr<float>(), static_cast<std::size_t>(x.numel()));
  };
  return compare_logits(numbers(float_logits_), numbers(quantized),
                        static_cast<std::size_t>(float_logits_.size(1)), runs_.labels);
}

}  // namespace tensorquant
