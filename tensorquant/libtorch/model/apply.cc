#include "tensorquant/libtorch/model/apply.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/layers/parameter_owners.h"
#include "tensorquant/libtorch/layers/quantizable_layer.h"
#include "tensorquant/libtorch/model/named_layers.h"
#include "tensorquant/libtorch/model/walk.h"
#include "tensorquant/libtorch/tensors/scaled_values.h"
#include "tensorquant/libtorch/tensors/tensor_layout.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"
#include "tensorquant/maps/assign.h"
#include "tensorquant/maps/place.h"

namespace tensorquant {
namespace {

AssignableLayer assignable(const ModelLayer& layer) {
  using enum AssignableLayer::Arithmetic;
  AssignableLayer one{layer.names, layer.type, other, "", layer.kind};
  if (layer.twin == nullptr) {
    one.obstacle =
        "build them from tensorquant::nn or QLayer, or exclude them by a rule with the value null";
    return one;
  }
  if (layer.twin->can_round_arithmetic()) one.arithmetic = rounded;
  if (layer.twin->only_moves_values()) one.arithmetic = nothing;
  return one;
}

std::vector<AssignableLayer> assignable(const std::vector<ModelLayer>& layers) {
  std::vector<AssignableLayer> all;
  for (const ModelLayer& layer : layers) all.push_back(assignable(layer));
  return all;
}

// The copy's layers take over the quantizers of the model's. By position: Sequential::clone()
// forgets the names of its layers.
void inherit(torch::nn::Module& model, torch::nn::Module& copy) {
  auto* from = dynamic_cast<QuantizableLayer*>(&model);
  auto* to = dynamic_cast<QuantizableLayer*>(&copy);
  if (from != nullptr && to != nullptr) to->inherit(*from);
  const auto children = model.children(), copies = copy.children();
  for (std::size_t i = 0; i < std::min(children.size(), copies.size()); ++i) {
    inherit(*children[i], *copies[i]);
  }
}

}  // namespace

InputQuantizer::InputQuantizer(std::shared_ptr<const Quantizer> quantizer, std::uint64_t seed,
                               bool keeps_elements)
    : quantizer_(std::move(quantizer)), seed_(seed), keeps_elements_(keeps_elements) {}

at::Tensor InputQuantizer::operator()(const at::Tensor& x, std::uint32_t step) const {
  if (quantizer_ == nullptr) return x;
  const Context context = {seed_, stream_of("input", Place::output), step,
                           layout_of(x.sizes(), {.channel = 1, .reduction = 1})};
  return keeps_elements_ ? quantize_with_elements(at::Tensor(x), quantizer_, context)
                         : quantize(x, quantizer_, context);
}

ApplyReport apply(ModelRef model, const Override& maps) {
  maps.refuse_training();
  const std::vector<ModelLayer> layers = layers_of(model);
  const std::vector<AssignableLayer> told = assignable(layers);
  // A model that tells its layers itself has its inputs among them.
  const bool has_input = dynamic_cast<const NamedLayers*>(&*model) == nullptr;
  Assignment assignment = assign(maps, told, has_input);
  ParameterOwners owners(*model);
  std::vector<std::shared_ptr<const QuantizableLayer::Plan>> plans;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].twin == nullptr) continue;
    try {
      plans.push_back(layers[i].twin->plan(std::move(assignment.layers[i]), owners));
    } catch (const Error& error) {
      assignment.faults.add_of_layer(told[i].text(), error.what());
    }
  }
  assignment.faults.refuse();
  auto plan = plans.begin();
  for (const ModelLayer& layer : layers) {
    if (layer.twin != nullptr) layer.twin->attach(std::move(*plan++));
  }
  return {std::move(assignment.idle), InputQuantizer(std::move(assignment.input.output), maps.seed,
                                                     assignment.input.keeps_elements)};
}

void strip(ModelRef model) {
  for (QuantizableLayer* twin : quantizable_layers(model)) twin->attach(nullptr);
}

InputQuantizer input_quantizer(ModelRef model) {
  for (const QuantizableLayer* twin : quantizable_layers(model)) {
    if (twin->attached() == nullptr) continue;
    const LayerQuantizers& quantizers = twin->attached()->quantizers;
    return {quantizers.model_input, quantizers.seed, quantizers.keeps_elements};
  }
  return {};
}

std::shared_ptr<torch::nn::Module> clone(torch::nn::Module& model) {
  std::shared_ptr<torch::nn::Module> copy = model.clone();
  inherit(model, *copy);
  return copy;
}

void invalidate(ModelRef model) {
  for (QuantizableLayer* twin : quantizable_layers(model)) twin->invalidate();
}

}  // namespace tensorquant
