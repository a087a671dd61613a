#ifndef TENSORQUANT_ONNX_TORCH_PLAN_H_
#define TENSORQUANT_ONNX_TORCH_PLAN_H_

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/onnx/graph/graph.h"
#include "tensorquant/onnx/names/product_counts.h"
#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::onnx_torch {

struct Step;

// A branch of an If: it reads and writes the slots of the steps around it.
struct Branch {
  std::vector<Step> steps;
  std::vector<onnx::ValueId> outputs;
};

// A node. Values are in slots, by the numbers of the graph.
struct Step {
  Function run;                  // of an If: what the results of its branch go through
  std::vector<Branch> branches;  // of an If: where its first input is true, and where not
  std::vector<onnx::ValueId> inputs, outputs;  // an If reads what its branches read
  std::vector<onnx::ValueId> last_read;        // values that nobody reads after it
  std::string place;                           // "net.onnx: node 'conv1' (Conv)"
  std::string layer = {};                      // how maps know it; "" where they do not
  onnx::ProductCounts products = {};
};

// What a call of a model does, in order.
struct Plan {
  Tensors constants;  // the slots at the beginning
  std::vector<onnx::ValueId> inputs, outputs;
  std::vector<Function> pass_inputs;  // for each input what may quantize it; none of integers
  std::vector<Step> steps;
};

inline std::size_t slot_of(onnx::ValueId id) { return static_cast<std::size_t>(id); }

// What the steps read of values that none of them makes, but constants.
std::vector<onnx::ValueId> values_from_outside(const Branch& branch, const Tensors& constants);

// Sets `last_read` of all steps, those of branches too. `outputs` are read behind them all.
void find_last_readers(std::vector<Step>& steps, const std::vector<onnx::ValueId>& outputs,
                       const Tensors& constants);

// Called behind each step with what it has made; behind those of a branch before the If.
using SeeStep = std::function<void(const Step& step, const Tensors& results)>;

// Error, which begins with the step's place, if one fails.
void run_steps(std::span<const Step> steps, Tensors& slots, const SeeStep& see = {});

// Why something failed, in one line.
std::string reason_of(const std::exception& error);

void check_output_count(const Tensors& results, const std::vector<onnx::ValueId>& outputs);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_PLAN_H_
