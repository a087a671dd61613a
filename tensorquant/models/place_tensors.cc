#include "tensorquant/models/place_tensors.h"

#include <ATen/ATen.h>

#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/walk.h"
#include "tensorquant/libtorch/tensors/tensor_layout.h"

namespace tensorquant {
namespace {

void add_part(PlaceTensor& tensor, const Quantizer& quantizer, const at::Tensor& part,
              TensorAxes axes) {
  const std::span<const float> x(part.data_ptr<float>(), static_cast<std::size_t>(part.numel()));
  for (const float value : x) {
    if (value != 0 && std::isfinite(value)) ++tensor.octaves[std::ilogb(value)];
  }
  tensor.values += x.size();
  tensor.fit.add(quantizer, x, {0, 0, 0, layout_of(part.sizes(), axes)});
}

}  // namespace

std::vector<PlaceTensor> place_tensors(
    const ModelInfo& info, ImageClassifier& model, const ImageDataset* data,
    const std::vector<LayerPlace>& places,
    const std::vector<std::shared_ptr<const Quantizer>>& quantizers, std::size_t batch_size) {
  strip(model);
  model.eval();
  const at::NoGradGuard no_grad;
  std::map<std::string, ModelLayer> layers;
  for (ModelLayer& layer : layers_of(model)) layers.emplace(layer.name(), layer);
  std::vector<PlaceTensor> tensors(places.size());
  std::map<std::string, std::size_t> outputs;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto found = layers.find(places[i].layer);
    if (found == layers.end()) throw Error(places[i].text() + " is no place of the model");
    if (places[i].place == Place::output) {
      outputs[places[i].layer] = i;
      continue;
    }
    const ModelLayer& layer = found->second;
    const at::Tensor* const x = layer.module->named_parameters().find(to_string(places[i].place));
    if (x == nullptr || !x->defined()) throw Error(places[i].text() + " is no place of the model");
    add_part(tensors[i], *quantizers[i], x->contiguous(), layer.twin->weight_axes());
  }
  if (outputs.empty() || data == nullptr) return tensors;
  set_output_observer(model, [&](const std::string& name, const at::Tensor& output) {
    const auto place = outputs.find(name);
    if (place == outputs.end()) return;
    const int channel = layers.at(name).twin->output_axis();
    const at::Tensor all = output.contiguous();
    for (std::int64_t image = 0; image < all.size(0); ++image) {
      add_part(tensors[place->second], *quantizers[place->second], all.narrow(0, image, 1),
               {channel, channel});
    }
  });
  for (std::size_t image = 0; image < data->count; image += batch_size) {
    model.forward(preprocess(info, *data, batch_indices(*data, image, batch_size)));
  }
  set_output_observer(model, {});
  return tensors;
}

}  // namespace tensorquant
