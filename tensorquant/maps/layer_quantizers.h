#ifndef TENSORQUANT_MAPS_LAYER_QUANTIZERS_H_
#define TENSORQUANT_MAPS_LAYER_QUANTIZERS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tensorquant/quantizers/accumulate.h"
#include "tensorquant/quantizers/outer_sum.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/tap_order.h"

namespace tensorquant {

// What the maps put into one layer. Null quantizers leave their place alone.
struct LayerQuantizers {
  std::string layer;  // the full name, which also names the random streams
  std::shared_ptr<const Quantizer> weight, bias, output;
  // The arithmetic inside the layer; both are null or none is.
  std::shared_ptr<const Quantizer> product, accumulator;
  Accumulate accumulate = {};
  std::optional<OuterSum> outer = {};
  TapOrder order = TapOrder::channel;
  std::uint64_t seed = 0;
  std::string rule;       // which rules chose them, for people to read
  std::string intrinsic;  // the intrinsic map's value, likewise; "" for none
  // The quantizer of the whole model's input, the same in all of its layers.
  std::shared_ptr<const Quantizer> model_input;
  // Whether the arithmetic of some layer is rounded, and sees elements and scales apart.
  bool keeps_elements = false;

  // Whether there is something to do in the layer itself.
  bool any() const {
    return weight != nullptr || bias != nullptr || output != nullptr || product != nullptr;
  }
};

// Whether the weights map's quantizer of biases is for the parameter of that name: "bias",
// "in_proj_bias", "attention.bias_ih_l0".
bool is_bias(const std::string& parameter);

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_LAYER_QUANTIZERS_H_
