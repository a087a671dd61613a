#ifndef TENSORQUANT_LIBTORCH_MODEL_STEPS_H_
#define TENSORQUANT_LIBTORCH_MODEL_STEPS_H_

#include <cstdint>
#include <map>
#include <string>

#include "tensorquant/libtorch/model/model_ref.h"

namespace tensorquant {

// The random step of each layer: the number of its forward calls in training mode so far. A
// checkpoint keeps them.
std::map<std::string, std::uint32_t> layer_steps(ModelRef model);
// Throws an Error for a name that is no layer; layers that are not named keep their step.
void set_layer_steps(ModelRef model, const std::map<std::string, std::uint32_t>& steps);
// The random step of every layer in evaluation mode, such as the number of the batch. 0 to begin
// with.
void set_inference_step(ModelRef model, std::uint32_t step);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_MODEL_STEPS_H_
