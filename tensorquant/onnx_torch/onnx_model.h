#ifndef TENSORQUANT_ONNX_TORCH_ONNX_MODEL_H_
#define TENSORQUANT_ONNX_TORCH_ONNX_MODEL_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/libtorch/model/named_layers.h"
#include "tensorquant/onnx/graph/replace_constants.h"
#include "tensorquant/onnx/names/layers.h"
#include "tensorquant/onnx/wire/model.h"
#include "tensorquant/search/layer_facts.h"

namespace tensorquant {

namespace onnx_torch {
struct Plan;
}

// An ONNX model that libtorch computes. Its layers are quantizable, by the names that
// onnx::layers_of() gives: apply(), summary() and the like take it as any other model. So are its
// floating-point inputs, as "input:NAME", and the nodes that only move numbers.
class OnnxModel : public torch::nn::Module, public NamedLayers {
 public:
  // In the order of inputs(). Error, which names the node, where the tensors do not fit. May run in
  // several threads at once.
  std::vector<at::Tensor> forward(std::vector<at::Tensor> inputs) const;

  // forward() in parts, each of which takes what the one before it gives, so that what lies before
  // a change need not be computed again: cut in front of products, where one tensor is all that is
  // handed on. They share what they refer to with this model.
  using Stage = std::function<std::vector<at::Tensor>(std::vector<at::Tensor>)>;
  std::vector<Stage> stages() const;

  // What the layers compute, in the order of execution, counted in one forward pass and divided by
  // the number of samples, which the inputs' first axis has. Inputs and what only moves numbers are
  // among them. Products are those of convolutions, Gemm and MatMul with a constant.
  std::vector<LayerFacts> layer_facts(std::vector<at::Tensor> inputs);

  struct Port {
    std::string name;
    std::optional<onnx::TensorType> type;  // where the file tells it
  };
  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<std::string>& output_names() const { return output_names_; }
  // Which operator makes each output; "" of an input or a constant.
  const std::vector<std::string>& output_operators() const { return output_operators_; }

  // One line each: of operators newer than those that are known here.
  const std::vector<std::string>& warnings() const { return warnings_; }

  std::vector<Layer> named_layers() const override;
  // Of the nodes that `export --opaque` writes.
  void set_inference_step(std::uint32_t step) override { *step_ = step; }
  // The names of those that add up integers exactly.
  const std::vector<std::string>& exact_layers() const { return exact_layers_; }

  // The weights and biases of the layers as they are now, for onnx::replace_constants() of the
  // model's file.
  std::vector<onnx::NewConstant> constants() const;

 private:
  friend class OnnxModelBuilder;

  // Values before the first step. Error where the inputs do not fit.
  std::vector<at::Tensor> slots_of(std::vector<at::Tensor> inputs) const;
  std::vector<at::Tensor> outputs_in(const std::vector<at::Tensor>& slots) const;

  std::shared_ptr<const onnx_torch::Plan> plan_;
  std::vector<Port> inputs_;
  std::vector<std::string> output_names_, output_operators_, warnings_, exact_layers_;
  std::vector<Layer> layers_;
  std::shared_ptr<std::atomic<std::uint32_t>> step_ =
      std::make_shared<std::atomic<std::uint32_t>>(0);

  // Where a layer's tensor stands in the file.
  struct Source {
    std::string parameter;  // "3.weight"
    bool is_turned;
    std::string wish;  // for a name: "layer1.0.conv1.weight"
    std::string node_output;
    std::size_t input;
    onnx::DataType type;
    std::vector<std::int64_t> dims;
  };
  std::vector<Source> sources_;
};

// How products are added up whose two factors stand for integers times constant scales: see
// onnx::has_integer_factors().
enum class Sums : std::uint8_t {
  exact,   // the integers exactly, then scaled and rounded once: whatever the order, the engine
  floats,  // of the numbers that they stand for, as the file says, in libtorch's order
};

struct OnnxOptions {
  onnx::NameSource names = onnx::NameSource::canonical;
  Sums sums = Sums::exact;
};

// The model, in evaluation mode, with all done that does not depend on its inputs: what depends on
// constants alone is computed. Errors as of onnx::read_model() and onnx::make_graph(); one that
// lists all operators which are missing, with their nodes; a node whose attributes are not
// supported.
std::shared_ptr<OnnxModel> load_onnx(const std::filesystem::path& path,
                                     const OnnxOptions& options = {});
std::shared_ptr<OnnxModel> make_onnx_model(onnx::ModelProto model, const std::string& source,
                                           const OnnxOptions& options = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_ONNX_TORCH_ONNX_MODEL_H_
