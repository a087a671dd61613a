#include "tensorquant/libtorch/model/observers.h"

#include <memory>
#include <optional>
#include <utility>

#include "tensorquant/libtorch/model/walk.h"

namespace tensorquant {

void record_ranges(ModelRef model, bool on) {
  for (QuantizableLayer* twin : quantizable_layers(model)) twin->record_ranges(on);
}

std::vector<LayerRangeReport> ranges(ModelRef model) {
  std::vector<LayerRangeReport> all;
  for (const ModelLayer& layer : layers_of(model)) {
    if (layer.twin == nullptr || layer.twin->attached() == nullptr) continue;
    const std::optional<LayerArithmetic>& rounded = layer.twin->attached()->arithmetic;
    if (!rounded || !layer.twin->records_ranges()) continue;
    all.push_back({layer.name(), rounded->arithmetic, layer.twin->ranges()});
  }
  return all;
}

std::vector<LayerKernelUse> kernel_uses(ModelRef model) {
  std::vector<LayerKernelUse> all;
  for (const ModelLayer& layer : layers_of(model)) {
    if (layer.twin == nullptr) continue;
    for (KernelUse& use : layer.twin->kernel_uses()) all.push_back({layer.name(), std::move(use)});
  }
  return all;
}

std::vector<LayerPlaceReport> place_reports(ModelRef model) {
  std::vector<LayerPlaceReport> all;
  for (const ModelLayer& layer : layers_of(model)) {
    if (layer.twin == nullptr) continue;
    for (PlaceReport& place : layer.twin->place_reports()) {
      all.push_back({layer.name(), std::move(place)});
    }
  }
  return all;
}

void set_output_observer(ModelRef model, OutputObserver observer) {
  const auto shared =
      observer ? std::make_shared<const OutputObserver>(std::move(observer)) : nullptr;
  for (const ModelLayer& layer : layers_of(model)) {
    if (layer.twin == nullptr || !layer.is_plain()) continue;
    layer.twin->set_observer(layer.name(), shared);
  }
}

}  // namespace tensorquant
