#ifndef TENSORQUANT_LIBTORCH_MODEL_APPLY_H_
#define TENSORQUANT_LIBTORCH_MODEL_APPLY_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "tensorquant/libtorch/model/model_ref.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// Quantizes the model's input as the extrinsic map says for "input". A model without a layer of
// that name has no place for it: call it on the tensor that the model gets. Does nothing where no
// rule hits "input". The tensor's channels are taken to be its second axis: [n, c, ...].
class InputQuantizer {
 public:
  InputQuantizer() = default;
  InputQuantizer(std::shared_ptr<const Quantizer> quantizer, std::uint64_t seed,
                 bool keeps_elements);

  at::Tensor operator()(const at::Tensor& x, std::uint32_t step = 0) const;
  explicit operator bool() const { return quantizer_ != nullptr; }
  const std::shared_ptr<const Quantizer>& quantizer() const { return quantizer_; }

 private:
  std::shared_ptr<const Quantizer> quantizer_;
  std::uint64_t seed_ = 0;
  bool keeps_elements_ = false;
};

struct ApplyReport {
  std::vector<std::string> warnings;  // a line for each rule that does nothing
  InputQuantizer input;
};

// Puts the quantizers of `maps` into the model's layers, in place of those that an earlier call put
// there.
//
// Layers are the quantizable ones (tensorquant::nn, QLayer) and every other module without
// children; containers are not quantized themselves. Names are those of Module::named_modules(); a
// layer that is registered under several names goes by the first. The model itself, if it is a
// layer, has the name "".
//
// Throws an Error, and changes nothing, where a rule hits a layer that is not quantizable, a
// parameter cannot be reached, two names of one layer have different rules, a layer cannot round
// its arithmetic as the intrinsic map wants or, if maps.strict, a rule does nothing. It names all
// the layers.
ApplyReport apply(ModelRef model, const Override& maps);

// The same. An unqualified apply(model, maps) with a std::shared_ptr also finds std::apply, which
// takes anything; this is as good a match and constrained, so it wins.
template <class Model, class Maps>
requires std::convertible_to<Model, ModelRef> && std::same_as<std::remove_cvref_t<Maps>, Override>
    ApplyReport apply(Model&& model, Maps&& maps) {
  return apply(ModelRef(model), static_cast<const Override&>(maps));
}

// Takes all quantizers out: the model is float again.
void strip(ModelRef model);

// The quantizer of the model's input that apply() was given; does nothing where the model has a
// layer named "input".
InputQuantizer input_quantizer(ModelRef model);

// A deep copy that keeps the quantizers, random streams and steps of all layers. (Module::clone()
// loses those of a module that has layers as members. Like it, this gives the layers of a copied
// Sequential numbers for names.)
std::shared_ptr<torch::nn::Module> clone(torch::nn::Module& model);
template <std::derived_from<torch::nn::Module> M>
requires(!std::same_as<M, torch::nn::Module>) std::shared_ptr<M> clone(M& model) {
  return std::dynamic_pointer_cast<M>(clone(static_cast<torch::nn::Module&>(model)));
}
template <std::derived_from<torch::nn::Module> M>
std::shared_ptr<M> clone(const std::shared_ptr<M>& model) {
  return clone(*model);
}
template <class Holder>
requires requires { typename Holder::ContainedType; }
Holder clone(const Holder& model) { return Holder(clone(model.ptr())); }

// Drops the cached quantized parameters of all layers; see QuantizableLayer::invalidate().
void invalidate(ModelRef model);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_MODEL_APPLY_H_
