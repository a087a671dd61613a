#include "tensorquant/models/checkpoint.h"

#include <ATen/ATen.h>

#include <string_view>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/models/tensor_array.h"

namespace tensorquant {
namespace {

// Every tensor that a checkpoint holds.
std::map<std::string, at::Tensor> tensors_of(const torch::nn::Module& model) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& item : model.named_parameters()) tensors[item.key()] = item.value();
  for (const auto& item : model.named_buffers()) tensors[item.key()] = item.value();
  return tensors;
}

bool may_be_missing(std::string_view name) { return name.ends_with("num_batches_tracked"); }

}  // namespace

std::map<std::string, Array> weights_of(const torch::nn::Module& model) {
  std::map<std::string, Array> weights;
  for (const auto& [name, tensor] : tensors_of(model)) weights[name] = to_array(tensor);
  return weights;
}

void set_weights(torch::nn::Module& model, const std::map<std::string, Array>& weights,
                 const std::string& source) {
  std::map<std::string, at::Tensor> tensors = tensors_of(model);
  std::string faults;
  const auto fault = [&](const std::string& name, const std::string& what) {
    faults += (faults.empty() ? " '" : ", '") + name + "' " + what;
  };
  for (const auto& [name, tensor] : tensors) {
    const auto found = weights.find(name);
    if (found == weights.end()) {
      if (!may_be_missing(name)) fault(name, "is missing");
      continue;
    }
    const Array expected = to_array(tensor);
    if (found->second.dtype != expected.dtype) {
      fault(name, "is " + std::string(name_of(found->second.dtype)) + " instead of " +
                      std::string(name_of(expected.dtype)));
    } else if (found->second.shape != expected.shape) {
      fault(name, "has shape " + to_string(found->second.shape) + " instead of " +
                      to_string(expected.shape));
    }
  }
  for (const auto& [name, array] : weights) {
    if (!tensors.contains(name)) fault(name, "is unexpected");
  }
  if (!faults.empty()) throw Error(source + ": does not fit the model:" + faults);

  const at::NoGradGuard no_grad;
  for (const auto& [name, array] : weights) tensors[name].copy_(to_tensor(array));
}

void load_checkpoint(torch::nn::Module& model, const std::filesystem::path& path) {
  set_weights(model, read_safetensors(path).tensors, path.string());
}

void save_checkpoint(const torch::nn::Module& model, const std::filesystem::path& path,
                     std::map<std::string, std::string> metadata) {
  metadata["format"] = "pt";
  write_safetensors(path, {weights_of(model), std::move(metadata)});
}

}  // namespace tensorquant
