#ifndef TENSORQUANT_ONNX_TORCH_ONNX_MODEL_H_
#define TENSORQUANT_ONNX_TORCH_ONNX_MODEL_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/libtorch/model/named_layers.h"
#include "tensorquant/onnx/graph/replace_constants.h"
#include "tensorquant/onnx/names/layers.h"
#include "tensorquant/onnx/wire/model.h"

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

  struct Port {
    std::string name;
    std::optional<onnx::TensorType> type;  // where the file tells it
  };
  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<std::string>& output_names() const { return output_names_; }

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

  std::shared_ptr<const onnx_torch::Plan> plan_;
  std::vector<Port> inputs_;
  std::vector<std::string> output_names_, warnings_, exact_layers_;
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
