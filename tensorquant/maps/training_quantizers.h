#ifndef TENSORQUANT_MAPS_TRAINING_QUANTIZERS_H_
#define TENSORQUANT_MAPS_TRAINING_QUANTIZERS_H_

#include <map>
#include <memory>
#include <string>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// What the maps put into the training of one layer. Null quantizers leave their place alone.
struct TrainingQuantizers {
  std::shared_ptr<const Quantizer> error, weight_gradient, bias_gradient;
  std::shared_ptr<const Quantizer> state, update;
  // In place of `state` for the states of these names.
  std::map<std::string, std::shared_ptr<const Quantizer>> states = {};

  bool any() const {
    return error != nullptr || weight_gradient != nullptr || bias_gradient != nullptr ||
           state != nullptr || update != nullptr || !states.empty();
  }
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_TRAINING_QUANTIZERS_H_
