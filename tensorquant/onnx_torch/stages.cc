#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "tensorquant/onnx_torch/onnx_model.h"
#include "tensorquant/onnx_torch/plan.h"

namespace tensorquant {
namespace {

using onnx::ValueId;
using onnx_torch::Plan;
using onnx_torch::slot_of;
using onnx_torch::Step;

// Between two steps: what is handed on is this value alone.
struct Cut {
  std::size_t step;  // the first one behind it
  ValueId value;
};

std::vector<Cut> cuts_of(const Plan& plan) {
  std::set<ValueId> alive;  // made, and read later
  std::set<ValueId> read;
  for (const Step& step : plan.steps) read.insert(step.inputs.begin(), step.inputs.end());
  for (const ValueId id : plan.inputs) {
    if (read.contains(id)) alive.insert(id);
  }
  std::vector<Cut> cuts;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    if (i > 0 && alive.size() == 1 && step.products.terms > 0) cuts.push_back({i, *alive.begin()});
    for (const ValueId id : step.outputs) {
      if (id != onnx::kNoValue) alive.insert(id);
    }
    for (const ValueId id : step.last_read) alive.erase(id);
  }
  return cuts;
}

}  // namespace

std::vector<OnnxModel::Stage> OnnxModel::stages() const {
  const std::vector<Cut> cuts = cuts_of(*plan_);
  std::vector<Stage> stages;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t begin = i == 0 ? 0 : cuts[i - 1].step;
    const std::size_t end = i == cuts.size() ? plan_->steps.size() : cuts[i].step;
    stages.push_back([=, this, plan = plan_](std::vector<at::Tensor> x) {
      std::vector<at::Tensor> slots = i == 0 ? slots_of(std::move(x)) : plan->constants;
      if (i > 0) slots[slot_of(cuts[i - 1].value)] = std::move(x.front());
      run_steps(std::span(plan->steps).subspan(begin, end - begin), slots);
      return i == cuts.size() ? outputs_in(slots)
                              : std::vector<at::Tensor>{slots[slot_of(cuts[i].value)]};
    });
  }
  return stages;
}

}  // namespace tensorquant
