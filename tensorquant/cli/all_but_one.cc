#include "tensorquant/cli/all_but_one.h"

#include <map>
#include <string>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/walk.h"

namespace tensorquant::cli {
namespace {

NamedLayer named_layer(ModelRef model, const std::string& name) {
  for (const ModelLayer& layer : layers_of(model)) {
    if (layer.name() == name) return {name, layer.type, layer.kind};
  }
  throw Error("the model has no layer '" + name + "'");
}

}  // namespace

AllButOne all_but_one(SearchSetup& setup, const Override& maps) {
  std::vector<Override> all = {maps};
  for (const LayerPlace& place : setup.places) {
    all.push_back(without(maps, place, named_layer(setup.model->module(), place.layer)));
  }
  std::vector<LogitMetrics> found = setup.evaluate_scores(all);
  const LogitMetrics whole = found.front();
  found.erase(found.begin());
  return {whole, std::move(found)};
}

QuantizedPlaces quantized_places(ModelRef model, const std::vector<LayerPlace>& places,
                                 const Override& maps) {
  apply(model, maps);
  std::map<std::string, LayerQuantizers> layers;
  for (const ModelLayer& layer : layers_of(model)) {
    if (layer.twin == nullptr || layer.twin->attached() == nullptr) continue;
    layers[layer.name()] = layer.twin->attached()->quantizers;
  }
  strip(model);
  QuantizedPlaces found;
  for (const LayerPlace& place : places) {
    const LayerQuantizers& q = layers[place.layer];
    const auto& quantizer = place.place == Place::weight ? q.weight
                            : place.place == Place::bias ? q.bias
                                                         : q.output;
    if (quantizer == nullptr) continue;
    found.places.push_back(place);
    found.quantizers.push_back({quantizer});
  }
  if (found.places.empty()) throw Error("the maps quantize none of the places that --places names");
  return found;
}

}  // namespace tensorquant::cli
