#include "tensorquant/models/place_tensors.h"

#include <cmath>

#include "tensorquant/models/tensor_tour.h"

namespace tensorquant {

std::vector<PlaceTensor> place_tensors(
    const ClassifierRuns& runs, const std::vector<LayerPlace>& places,
    const std::vector<std::shared_ptr<const Quantizer>>& quantizers) {
  std::vector<PlaceTensor> tensors(places.size());
  const TensorTour tour(runs, places);
  tour([&](std::size_t place, std::span<const float> part, const Context& context) {
    PlaceTensor& tensor = tensors[place];
    for (const float value : part) {
      if (value != 0 && std::isfinite(value)) ++tensor.octaves[std::ilogb(value)];
    }
    tensor.values += part.size();
    tensor.fit.add(*quantizers[place], part, context);
  });
  return tensors;
}

}  // namespace tensorquant
