#include "tensorquant/onnx_torch/plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <exception>
#include <unordered_set>
#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx_torch {

using onnx::kNoValue;
using onnx::ValueId;

// The first line of libtorch's messages says it; what follows is where in libtorch.
std::string reason_of(const std::exception& error) {
  const std::string text = error.what();
  const std::string wanted = "you tried to allocate ";
  const std::size_t place = text.find(wanted);
  if (place != std::string::npos) {
    const std::size_t number = place + wanted.size();
    return "there is no memory for " + text.substr(number, text.find(" bytes", number) - number) +
           " bytes";
  }
  return text.substr(0, text.find('\n'));
}

void check_output_count(const Tensors& results, const std::vector<ValueId>& outputs) {
  if (results.size() >= outputs.size()) return;
  throw Error("it has " + std::to_string(outputs.size()) + " outputs, but makes " +
              std::to_string(results.size()));
}

std::vector<ValueId> values_from_outside(const Branch& branch, const Tensors& constants) {
  std::unordered_set<ValueId> known;  // made inside, or found already
  std::vector<ValueId> found;
  const auto read = [&](ValueId id) {
    if (id == kNoValue || constants[slot_of(id)].defined()) return;
    if (known.insert(id).second) found.push_back(id);
  };
  for (const Step& step : branch.steps) {
    for (const ValueId id : step.inputs) read(id);
    known.insert(step.outputs.begin(), step.outputs.end());
  }
  for (const ValueId id : branch.outputs) read(id);
  return found;
}

void find_last_readers(std::vector<Step>& steps, const std::vector<ValueId>& outputs,
                       const Tensors& constants) {
  std::unordered_set<ValueId> read(outputs.begin(), outputs.end());
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const auto dies = [&](ValueId id) {
      if (id == kNoValue || constants[slot_of(id)].defined()) return;
      if (read.insert(id).second) step->last_read.push_back(id);
    };
    for (Branch& branch : step->branches) {
      // What is made outside lives on behind the branch.
      std::vector<ValueId> kept = values_from_outside(branch, constants);
      kept.insert(kept.end(), branch.outputs.begin(), branch.outputs.end());
      find_last_readers(branch.steps, kept, constants);
      for (const ValueId id : branch.outputs) dies(id);
    }
    for (const auto* ids : {&step->inputs, &step->outputs}) {
      for (const ValueId id : *ids) dies(id);
    }
  }
}

namespace {

Tensors values_of(const std::vector<ValueId>& ids, const Tensors& slots) {
  Tensors values;
  values.reserve(ids.size());
  for (const ValueId id : ids) {
    values.push_back(id == kNoValue ? at::Tensor() : slots[slot_of(id)]);
  }
  return values;
}

void release(const std::vector<ValueId>& ids, Tensors& slots) {
  for (const ValueId id : ids) slots[slot_of(id)].reset();
}

Tensors results_of(const Step& step, Tensors& slots, const SeeStep& see) {
  if (step.branches.empty()) {
    Tensors given = values_of(step.inputs, slots);
    release(step.last_read, slots);  // so that the step may overwrite them
    return step.run(std::move(given));
  }
  const at::Tensor& condition = slots[slot_of(step.inputs.front())];
  if (condition.numel() != 1) throw Error("its condition is not one truth value");
  const Branch& branch = step.branches[condition.item<bool>() ? 0 : 1];
  run_steps(branch.steps, slots, see);
  const Tensors results = step.run(values_of(branch.outputs, slots));
  release(step.last_read, slots);
  return results;
}

void run_step(const Step& step, Tensors& slots, const SeeStep& see) {
  Tensors results = results_of(step, slots, see);
  check_output_count(results, step.outputs);
  if (see) see(step, results);
  for (std::size_t i = 0; i < step.outputs.size(); ++i) {
    const ValueId id = step.outputs[i];
    const bool is_read =
        std::find(step.last_read.begin(), step.last_read.end(), id) == step.last_read.end();
    if (id != kNoValue && is_read) slots[slot_of(id)] = std::move(results[i]);
  }
}

// An error of a step in a branch has its place already.
class StepError : public Error {
 public:
  using Error::Error;
};

}  // namespace

void run_steps(std::span<const Step> steps, Tensors& slots, const SeeStep& see) {
  for (const Step& step : steps) {
    try {
      run_step(step, slots, see);
    } catch (const StepError&) {
      throw;
    } catch (const std::exception& error) {
      throw StepError(step.place + ": " + reason_of(error));
    }
  }
}

}  // namespace tensorquant::onnx_torch
