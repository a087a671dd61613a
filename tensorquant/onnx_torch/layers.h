#ifndef TENSORQUANT_ONNX_TORCH_LAYERS_H_
#define TENSORQUANT_ONNX_TORCH_LAYERS_H_

#include <torch/nn/module.h>

#include <cstddef>
#include <memory>
#include <string>

#include "tensorquant/onnx/names/layers.h"
#include "tensorquant/onnx_torch/operators/integer_sums.h"
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
// node's inputs. `bias`: undefined if there is none. `scales`: where the layer's sums are to be
// exact, those of its factors, else null.
BuiltLayer build_layer(const NodeView& node, const onnx::Layer& layer, const Function& function,
                       const at::Tensor& bias, const FactorScales* scales);

// What the parameter of a layer is called that is this input of its node: "weight"; of an LSTM and
// the like, by what it is multiplied with, "weight_ih" and "weight_hh".
std::string weight_name(const std::string& op_type, std::size_t input);

// A layer that hands on what it gets, which is what is quantized: a model's input, or the results
// of a node that only moves numbers. Integers pass as they are.
BuiltLayer build_passing_layer(const std::string& type);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_LAYERS_H_
