#ifndef TENSORQUANT_ONNX_TORCH_LAYERS_H_
#define TENSORQUANT_ONNX_TORCH_LAYERS_H_

#include <torch/nn/module.h>

#include <memory>

#include "tensorquant/onnx/names/layers.h"
#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::onnx_torch {

// A node as a quantizable layer.
struct BuiltLayer {
  std::shared_ptr<torch::nn::Module> module;
  Function forward;  // of the node's inputs; of a product with a bias those of the product
  bool weight_is_turned = false;  // the module's is the transpose of what the node reads
};

// The twin of libtorch's layer that does what the node does, if there is one: Conv2d, Linear, ReLU
// ...; else a layer around `function`. `weights` are the places of the layer's weights among the
// node's inputs. `bias`: undefined if there is none.
BuiltLayer build_layer(const NodeView& node, const onnx::Layer& layer, const Function& function,
                       const at::Tensor& bias);

// A layer that hands on what it gets, which is what is quantized: a model's input, or the results
// of a node that only moves numbers. Integers pass as they are.
BuiltLayer build_passing_layer(const std::string& type);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_LAYERS_H_
