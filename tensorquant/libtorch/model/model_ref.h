#ifndef TENSORQUANT_LIBTORCH_MODEL_MODEL_REF_H_
#define TENSORQUANT_LIBTORCH_MODEL_MODEL_REF_H_

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>

#include "tensorquant/base/error.h"

namespace tensorquant {

// A model however it is held: a module, a shared pointer to one, or a holder such as
// nn::Sequential.
class ModelRef {
 public:
  ModelRef(torch::nn::Module& module) : module_(&module) {}
  template <class M>
  ModelRef(const std::shared_ptr<M>& module) : module_(module.get()) {
    if (module == nullptr) throw Error("the model is a null pointer");
  }
  template <class M>
  ModelRef(const torch::nn::ModuleHolder<M>& holder) : module_(holder.ptr().get()) {}

  torch::nn::Module& operator*() const { return *module_; }

 private:
  torch::nn::Module* module_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_MODEL_MODEL_REF_H_
