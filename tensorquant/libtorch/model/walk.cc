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
      for (const auto& [key, child] : list->named_layers()) {
        add({{below(name, key.name)}, child, twin_of(*child), key.type, key.kind});
      }
      return;
    }
    QuantizableLayer* twin = twin_of(module);
    const auto children = module.named_children();
    if (twin != nullptr || (!inside_twin && children.is_empty() && !is_container(module))) {
      add({{name}, &module, twin, type_of(module, twin)});
    }
    for (const auto& child : children) {
      visit(*child.value(), below(name, child.key()), inside_twin || twin != nullptr);
    }
  }

  void add(ModelLayer layer) {
    const auto [place, is_new] = index_.try_emplace(layer.module, layers.size());
    if (is_new) {
      layers.push_back(std::move(layer));
    } else {
      layers[place->second].names.push_back(layer.name());
    }
  }

  static std::string below(const std::string& name, const std::string& child) {
    return name.empty() ? child : name + "." + child;
  }
  static QuantizableLayer* twin_of(torch::nn::Module& module) {
    return dynamic_cast<QuantizableLayer*>(&module);
  }
  static std::string type_of(const torch::nn::Module& module, const QuantizableLayer* twin) {
    return twin != nullptr ? twin->type() : detail::layer_type(module.name());
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

std::vector<ModelLayer> layers_of(ModelRef model) { return std::move(LayerWalk(*model).layers); }

std::vector<QuantizableLayer*> quantizable_layers(ModelRef model) {
  std::vector<QuantizableLayer*> found;
  for (const ModelLayer& layer : layers_of(model)) {
    if (layer.twin != nullptr) found.push_back(layer.twin);
  }
  return found;
}

}  // namespace tensorquant
