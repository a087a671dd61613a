#include "tensorquant/libtorch/model/steps.h"

#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/named_layers.h"
#include "tensorquant/libtorch/model/walk.h"

namespace tensorquant {
namespace {

std::vector<NamedLayers*> lists_of(ModelRef model) {
  std::vector<NamedLayers*> lists = {dynamic_cast<NamedLayers*>(&*model)};
  for (const auto& inner : (*model).modules(/*include_self=*/false)) {
    lists.push_back(dynamic_cast<NamedLayers*>(inner.get()));
  }
  std::erase(lists, nullptr);
  return lists;
}

}  // namespace

std::map<std::string, std::uint32_t> layer_steps(ModelRef model) {
  std::map<std::string, std::uint32_t> steps;
  for (const ModelLayer& layer : layers_of(model)) {
    if (layer.twin != nullptr) steps[layer.name()] = layer.twin->step();
  }
  return steps;
}

void set_layer_steps(ModelRef model, const std::map<std::string, std::uint32_t>& steps) {
  std::map<std::string, QuantizableLayer*> layers;
  for (const ModelLayer& layer : layers_of(model)) layers[layer.name()] = layer.twin;
  for (const auto& [name, step] : steps) {
    const auto found = layers.find(name);
    if (found == layers.end() || found->second == nullptr) {
      throw Error("the model has no quantizable layer '" + name + "'");
    }
  }
  for (const auto& [name, step] : steps) layers[name]->set_step(step);
}

void set_inference_step(ModelRef model, std::uint32_t step) {
  for (QuantizableLayer* twin : quantizable_layers(model)) twin->set_inference_step(step);
  for (NamedLayers* list : lists_of(model)) list->set_inference_step(step);
}

}  // namespace tensorquant
