#ifndef TENSORQUANT_MODELS_CHECKPOINT_H_
#define TENSORQUANT_MODELS_CHECKPOINT_H_

#include <torch/nn/module.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>

#include "tensorquant/data/safetensors.h"

namespace tensorquant {

// The parameters and buffers of a model by their names, float32, as PyTorch's state_dict has them.
std::map<std::string, Array> weights_of(const torch::nn::Module& model);

// The reverse. Throws one Error that names `source` and all that is missing, unexpected, or of
// another type or shape; then nothing is changed. num_batches_tracked may be missing.
void set_weights(torch::nn::Module& model, const std::map<std::string, Array>& weights,
                 const std::string& source);

// Float tensors of a file that were made float32.
struct Conversion {
  std::size_t tensors = 0, numbers = 0;
  std::size_t rounded = 0;  // numbers of f64 that are no float32; f16 and bf16 lose nothing
};

// The same with a safetensors file, which appears whole or not at all. Reading converts f16, bf16
// and f64 where the model is float32.
Conversion load_checkpoint(torch::nn::Module& model, const std::filesystem::path& path);
void save_checkpoint(const torch::nn::Module& model, const std::filesystem::path& path,
                     std::map<std::string, std::string> metadata = {});

// Numbers of the parameters and buffers that are NaN or infinite.
struct NonFinite {
  std::size_t count = 0;
  std::string
      first;  // the tensor of the first one, in the model's order, parameters before buffers
};
NonFinite non_finite_weights(const torch::nn::Module& model);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_CHECKPOINT_H_
