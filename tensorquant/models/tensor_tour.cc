#include "tensorquant/models/tensor_tour.h"

#include <ATen/ATen.h>

#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/tensors/tensor_layout.h"

namespace tensorquant {
namespace {

void show(std::size_t place, const at::Tensor& part, TensorAxes axes, const SeePart& see) {
  see(place, {part.data_ptr<float>(), static_cast<std::size_t>(part.numel())},
      {0, 0, 0, layout_of(part.sizes(), axes)});
}

}  // namespace

std::map<std::string, ModelLayer> layers_by_name(ImageClassifier& model) {
  std::map<std::string, ModelLayer> layers;
  for (ModelLayer& layer : layers_of(model)) layers.emplace(layer.name(), layer);
  return layers;
}

TensorTour::TensorTour(const ModelInfo& info, ImageClassifier& model, const ImageDataset* data,
                       const std::vector<LayerPlace>& places, std::size_t batch_size,
                       std::function<void()> after_batch)
    : info_(info),
      model_(model),
      data_(data),
      places_(places),
      batch_size_(batch_size),
      after_batch_(std::move(after_batch)),
      layers_(layers_by_name(model)) {
  for (const LayerPlace& place : places_) {
    const auto layer = layers_.find(place.layer);
    bool is_there = layer != layers_.end();
    if (is_there && place.place != Place::output) {
      const at::Tensor* const x =
          layer->second.module->named_parameters().find(to_string(place.place));
      is_there = x != nullptr && x->defined();
    }
    if (!is_there) throw Error(place.text() + " is no place of the model");
  }
  strip(model_);
  model_.eval();
}

void TensorTour::operator()(const SeePart& see) const {
  const at::NoGradGuard no_grad;
  std::map<std::string, std::size_t> outputs;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].place == Place::output) {
      outputs[places_[i].layer] = i;
    } else {
      see_parameter(i, see);
    }
  }
  if (outputs.empty() || data_ == nullptr) return;
  set_output_observer(model_, [&](const std::string& layer, const at::Tensor& output) {
    const auto place = outputs.find(layer);
    if (place != outputs.end()) see_output(place->second, output, see);
  });
  for (std::size_t image = 0; image < data_->count; image += batch_size_) {
    model_.forward(preprocess(info_, *data_, batch_indices(*data_, image, batch_size_)));
    if (after_batch_) after_batch_();
  }
  set_output_observer(model_, {});
}

void TensorTour::see_parameter(std::size_t i, const SeePart& see) const {
  const ModelLayer& layer = layers_.at(places_[i].layer);
  const at::Tensor x = layer.module->named_parameters()[to_string(places_[i].place)].contiguous();
  show(i, x, layer.twin->weight_axes(), see);
}

void TensorTour::see_output(std::size_t i, const at::Tensor& output, const SeePart& see) const {
  const at::Tensor all = output.contiguous();
  const int channel = layers_.at(places_[i].layer).twin->output_axis();
  for (std::int64_t image = 0; image < all.size(0); ++image) {
    show(i, all.narrow(0, image, 1), {channel, channel}, see);
  }
}

}  // namespace tensorquant
