#include "tensorquant/models/checkpoint.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/data/float32.h"
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

bool is_other_float(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::f64;
}

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

Conversion load_checkpoint(torch::nn::Module& model, const std::filesystem::path& path) {
  std::map<std::string, Array> weights = read_safetensors(path).tensors;
  Conversion conversion;
  for (const auto& [name, tensor] : tensors_of(model)) {
    const auto found = weights.find(name);
    if (found == weights.end() || tensor.scalar_type() != at::kFloat) continue;
    Array& array = found->second;
    if (!is_other_float(array.dtype)) continue;
    Float32 converted = to_float32(array);
    array = std::move(converted.array);
    ++conversion.tensors;
    conversion.numbers += array.as<float>().size();
    conversion.rounded += converted.rounded;
  }
  set_weights(model, weights, path.string());
  return conversion;
}

void save_checkpoint(const torch::nn::Module& model, const std::filesystem::path& path,
                     std::map<std::string, std::string> metadata) {
  metadata["format"] = "pt";
  write_safetensors(path, {weights_of(model), std::move(metadata)});
}

NonFinite non_finite_weights(const torch::nn::Module& model) {
  NonFinite result;
  const auto look_at = [&result](const std::string& name, const at::Tensor& tensor) {
    const auto finite = at::isfinite(tensor.detach()).sum().item<std::int64_t>();
    const auto count = static_cast<std::size_t>(tensor.numel() - finite);
    if (count > 0 && result.count == 0) result.first = name;
    result.count += count;
  };
  for (const auto& item : model.named_parameters()) look_at(item.key(), item.value());
  for (const auto& item : model.named_buffers()) look_at(item.key(), item.value());
  return result;
}

}  // namespace tensorquant
