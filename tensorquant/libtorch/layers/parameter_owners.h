#ifndef TENSORQUANT_LIBTORCH_LAYERS_PARAMETER_OWNERS_H_
#define TENSORQUANT_LIBTORCH_LAYERS_PARAMETER_OWNERS_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// The parameters of a model, and for each the first layer that reads it. Layers may share one (tied
// weights); all of them quantize it alike, with the random numbers of the first.
class ParameterOwners {
 public:
  explicit ParameterOwners(const torch::nn::Module& model);

  // The name under which the model has the tensor; empty for one that is no parameter of it.
  std::string registered_name(const at::Tensor& x) const;

  struct Reading {
    std::string layer, parameter;
    std::shared_ptr<const Quantizer> quantizer;  // null: the layer reads the float tensor
    std::string rule;                            // which chose the quantizer, for people
    std::uint32_t stream;                        // of the layer, were it the only one
  };
  // The random stream for a layer that reads the tensor so: that of its first reader. Throws an
  // Error if their quantizers differ.
  std::uint32_t stream(const at::Tensor& x, Reading reading);

 private:
  std::unordered_map<const at::TensorImpl*, std::string> names_;
  std::unordered_map<const at::TensorImpl*, Reading> first_;
};

// What the tensors that a layer reads as parameters, its handles, are called.
//
// A handle is usually a parameter of the layer. One that is a parameter of another layer, put into
// a member (`fc->weight = embedding->weight`), takes the name of the one that it replaced.
class ParameterNames {
 public:
  ParameterNames(torch::nn::Module& layer, const std::vector<at::Tensor>& handles,
                 const ParameterOwners& owners);

  struct Name {
    std::string name;  // empty: an undefined handle, or one that is no parameter
    std::string role;  // "weight" or "bias", numbered in the layer's order
  };
  const std::vector<Name>& of_handles() const { return names_; }
  // The layer's parameters that no handle is, nor stands in for.
  const std::vector<std::string>& unread() const { return unread_; }

 private:
  std::vector<Name> names_;
  std::vector<std::string> unread_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_LAYERS_PARAMETER_OWNERS_H_
