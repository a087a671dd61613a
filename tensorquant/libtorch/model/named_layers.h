#ifndef TENSORQUANT_LIBTORCH_MODEL_NAMED_LAYERS_H_
#define TENSORQUANT_LIBTORCH_MODEL_NAMED_LAYERS_H_

#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tensorquant/maps/layer_pattern.h"

namespace tensorquant {

// A module that tells the names of its layers itself: those that libtorch's tree gives hold no
// dots, and a layer there has no layers below it.
class NamedLayers {
 public:
  struct Layer {
    NamedLayer key;  // how maps know it
    torch::nn::Module* module;
  };

  virtual ~NamedLayers() = default;
  // In the order in which people are to see them, the model's inputs among them if rules may hit
  // those. They belong to the module, by whatever names.
  virtual std::vector<Layer> named_layers() const = 0;
  // See set_inference_step(): for what it rounds at random outside these layers.
  virtual void set_inference_step(std::uint32_t /*step*/) {}
};

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_MODEL_NAMED_LAYERS_H_
