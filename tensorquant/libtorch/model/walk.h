#ifndef TENSORQUANT_LIBTORCH_MODEL_WALK_H_
#define TENSORQUANT_LIBTORCH_MODEL_WALK_H_

#include <torch/nn/module.h>

#include <string>
#include <vector>

#include "tensorquant/libtorch/layers/quantizable_layer.h"
#include "tensorquant/libtorch/model/model_ref.h"
#include "tensorquant/maps/layer_pattern.h"

namespace tensorquant {

// A leaf of the model, or a quantizable layer.
struct ModelLayer {
  std::vector<std::string> names;  // the first is its name
  torch::nn::Module* module;
  QuantizableLayer* twin;  // null: a plain libtorch layer
  std::string type;        // "Conv2d"
  NamedLayer::Kind kind = NamedLayer::Kind::layer;

  const std::string& name() const { return names.front(); }
  // A layer that does its own work: no input, and nothing that only moves numbers.
  bool is_plain() const { return kind == NamedLayer::Kind::layer; }
};

// In the order of Module::named_modules(). The modules inside a quantizable layer belong to it,
// unless they are quantizable themselves.
std::vector<ModelLayer> layers_of(ModelRef model);

std::vector<QuantizableLayer*> quantizable_layers(ModelRef model);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_MODEL_WALK_H_
