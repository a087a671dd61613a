#ifndef TENSORQUANT_TORCH_MODEL_H_
#define TENSORQUANT_TORCH_MODEL_H_

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/torch/layer.h"

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

// Quantizes the model's input as the extrinsic map says for "input". A model without a layer of
// that name has no place for it: call it on the tensor that the model gets. Does nothing where no
// rule hits "input".
class InputQuantizer {
 public:
  InputQuantizer() = default;
  InputQuantizer(std::shared_ptr<const Quantizer> quantizer, std::uint64_t seed);

  at::Tensor operator()(const at::Tensor& x, std::uint32_t step = 0) const;
  explicit operator bool() const { return quantizer_ != nullptr; }
  const std::shared_ptr<const Quantizer>& quantizer() const { return quantizer_; }

 private:
  std::shared_ptr<const Quantizer> quantizer_;
  std::uint64_t seed_ = 0;
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

// One layer of a model and what is in it now; quantizers as strings, "" for none.
struct LayerSummary {
  std::string layer;
  std::string type;  // "Conv2d"
  bool quantizable = true;
  std::string weight, bias, output, intrinsic;
  std::string rule;  // where they come from: `weights "conv" (maps.json:1:2)`
};
std::vector<LayerSummary> summary(ModelRef model);
// The same as a table for people.
std::string to_table(const std::vector<LayerSummary>& layers);

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

// The random step of each layer: the number of its forward calls in training mode so far. A
// checkpoint keeps them.
std::map<std::string, std::uint32_t> layer_steps(ModelRef model);
// Throws an Error for a name that is no layer; layers that are not named keep their step.
void set_layer_steps(ModelRef model, const std::map<std::string, std::uint32_t>& steps);
// The random step of every layer in evaluation mode, such as the number of the batch. 0 to begin
// with.
void set_inference_step(ModelRef model, std::uint32_t step);

// What the products and sums of a layer with rounded arithmetic have needed.
struct LayerRangeReport {
  std::string layer;
  Arithmetic arithmetic;
  RangeReport report;
};
// Has each layer count from now on, from nothing; see QuantizableLayer::record_ranges().
void record_ranges(ModelRef model, bool on = true);
// Of the layers that round their arithmetic and count, in the model's order.
std::vector<LayerRangeReport> ranges(ModelRef model);

// Calls `observer` with the output of each quantizable layer, after its quantizer, whether it has
// one or not. The tensor is that of the model: copy what you keep if later layers work in place. An
// empty function ends it.
void set_output_observer(ModelRef model, OutputObserver observer);

// Drops the cached quantized parameters of all layers; see QuantizableLayer::invalidate().
void invalidate(ModelRef model);

}  // namespace tensorquant

#endif  // TENSORQUANT_TORCH_MODEL_H_
