#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <utility>

#include "tensorquant/libtorch/model/walk.h"
#include "tensorquant/onnx_torch/onnx_model.h"
#include "tensorquant/onnx_torch/plan.h"

namespace tensorquant {
namespace {

using onnx::ValueId;
using onnx_torch::Step;

// What is known of a value that a step has made.
struct Made {
  std::int64_t count = 0;              // of its elements
  std::vector<std::string> from = {};  // the layers whose outputs it is made of
};

class FactsFinder {
 public:
  explicit FactsFinder(OnnxModel& model) {
    for (ModelLayer& layer : layers_of(model)) layers_.emplace(layer.name(), std::move(layer));
  }

  void see_input(ValueId id, const std::string& name, std::int64_t count) {
    const auto layer = layers_.find("input:" + name);
    if (layer == layers_.end()) {  // integers
      made_[id] = {count};
      return;
    }
    add(layer->second, {}, count);
    made_[id] = {count, {layer->second.name()}};
  }

  void see(const Step& step, const std::vector<at::Tensor>& results) {
    Made read;
    for (const ValueId id : step.branches.empty() ? step.inputs : taken_branch(step)) {
      const auto found = made_.find(id);
      if (found != made_.end()) join(read, found->second);
    }
    const auto layer = layers_.find(step.layer);
    if (layer != layers_.end()) {
      const std::int64_t outputs = results.front().numel();
      LayerFacts& facts = add(layer->second, read, outputs);
      facts.terms = step.products.terms;
      facts.macs = step.products.all(read.count, outputs);
      read.from = {facts.layer};
    }
    for (std::size_t i = 0; i < step.outputs.size(); ++i) {
      if (step.outputs[i] == onnx::kNoValue) continue;  // which inputs that are left out are, too
      made_[step.outputs[i]] = {results[i].defined() ? results[i].numel() : 0, read.from};
    }
  }

  std::vector<LayerFacts> facts;

 private:
  LayerFacts& add(const ModelLayer& layer, const Made& read, std::int64_t outputs) {
    LayerFacts& one = facts.emplace_back();
    one.layer = layer.name();
    one.type = layer.type;
    one.inputs = read.count;
    one.outputs = outputs;
    one.sources = read.from;
    one.moves_values = layer.twin->only_moves_values();
    for (const auto& item : layer.module->named_parameters()) {
      (item.key() == "bias" ? one.biases : one.weights) += item.value().numel();
    }
    return one;
  }

  static void join(Made& all, const Made& one) {
    all.count += one.count;
    for (const std::string& layer : one.from) {
      const bool is_new = std::find(all.from.begin(), all.from.end(), layer) == all.from.end();
      if (is_new) all.from.push_back(layer);
    }
  }

  // The outputs of the branch of an If that has run: one with steps has made something, and may
  // hand on values that were there before.
  const std::vector<ValueId>& taken_branch(const Step& step) const {
    const onnx_torch::Branch* taken = nullptr;
    for (const onnx_torch::Branch& branch : step.branches) {
      const bool has_run =
          branch.steps.empty() ? taken == nullptr : has_made(branch.steps.front().outputs);
      if (has_run) taken = &branch;
    }
    return (taken == nullptr ? step.branches.front() : *taken).outputs;
  }

  bool has_made(const std::vector<ValueId>& ids) const {
    return std::any_of(ids.begin(), ids.end(), [&](ValueId id) { return made_.contains(id); });
  }

  std::map<std::string, ModelLayer> layers_;
  std::map<ValueId, Made> made_;
};

}  // namespace

std::vector<LayerFacts> OnnxModel::layer_facts(std::vector<at::Tensor> inputs) {
  const at::NoGradGuard no_gradients;
  FactsFinder finder(*this);
  const bool has_samples = !inputs.empty() && inputs.front().dim() > 0;
  const std::int64_t samples = has_samples ? std::max<std::int64_t>(inputs.front().size(0), 1) : 1;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    finder.see_input(plan_->inputs[i], inputs_[i].name, inputs[i].numel());
  }
  std::vector<at::Tensor> slots = slots_of(std::move(inputs));
  run_steps(plan_->steps, slots, [&](const Step& step, const std::vector<at::Tensor>& results) {
    finder.see(step, results);
  });
  for (LayerFacts& one : finder.facts) {
    one.macs /= samples;
    one.inputs /= samples;
    one.outputs /= samples;
  }
  return std::move(finder.facts);
}

}  // namespace tensorquant
