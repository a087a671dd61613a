#ifndef TENSORQUANT_MODELS_CHECKPOINT_H_
#define TENSORQUANT_MODELS_CHECKPOINT_H_

#include <torch/nn/module.h>

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

// The same with a safetensors file, which appears whole or not at all.
void load_checkpoint(torch::nn::Module& model, const std::filesystem::path& path);
void save_checkpoint(const torch::nn::Module& model, const std::filesystem::path& path,
                     std::map<std::string, std::string> metadata = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_CHECKPOINT_H_
