#include "tensorquant/libtorch/model/walk.h"

#include <torch/nn.h>

#include <cstddef>
#include <unordered_map>
#include <utility>

#include "tensorquant/libtorch/layers/q_layer.h"
#include "tensorquant/libtorch/model/named_layers.h"

namespace tensorquant {
namespace {

class LayerWalk {
 public:
  explicit LayerWalk(torch::nn::Module& model) { visit(model, "", /*inside_twin=*/false); }
  std::vector<ModelLayer> layers;

 private:
  void visit(torch::nn::Module& module, const std::string& name, bool inside_twin) {
    if (const auto* list = dynamic_cast<const NamedLayers*>(&module)) {
      for (const auto& [layer, child] : list->named_layers()) {
        visit(*child, name.empty() ? layer : name + "." + layer, inside_twin);
      }
      return;
    }
    auto* twin = dynamic_cast<QuantizableLayer*>(&module);
    const auto children = module.named_children();
    if (twin != nullptr || (!inside_twin && children.is_empty() && !is_container(module))) {
      const auto [place, is_new] = index_.try_emplace(&module, layers.size());
      if (is_new) {
        layers.push_back({{name}, &module, twin});
      } else {
        layers[place->second].names.push_back(name);
      }
    }
    for (const auto& child : children) {
      visit(*child.value(), name.empty() ? child.key() : name + "." + child.key(),
            inside_twin || twin != nullptr);
    }
  }

  static bool is_container(const torch::nn::Module& module) {
    return dynamic_cast<const torch::nn::SequentialImpl*>(&module) != nullptr ||
           dynamic_cast<const torch::nn::ModuleListImpl*>(&module) != nullptr ||
           dynamic_cast<const torch::nn::ModuleDictImpl*>(&module) != nullptr ||
           dynamic_cast<const torch::nn::ParameterListImpl*>(&module) != nullptr ||
           dynamic_cast<const torch::nn::ParameterDictImpl*>(&module) != nullptr;
  }

  std::unordered_map<const torch::nn::Module*, std::size_t> index_;
};

}  // namespace

std::string ModelLayer::type() const {
  return twin != nullptr ? twin->type() : detail::layer_type(module->name());
}

std::vector<ModelLayer> layers_of(ModelRef model) { return std::move(LayerWalk(*model).layers); }

std::vector<QuantizableLayer*> quantizable_layers(ModelRef model) {
  std::vector<QuantizableLayer*> found;
  for (const ModelLayer& layer : layers_of(model)) {
    if (layer.twin != nullptr) found.push_back(layer.twin);
  }
  return found;
}

}  // namespace tensorquant
