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

std::map<std::string, ModelLayer> layers_by_name(ModelRef model) {
  std::map<std::string, ModelLayer> layers;
  for (ModelLayer& layer : layers_of(model)) layers.emplace(layer.name(), layer);
  return layers;
}

at::Tensor parameter_of(const ModelLayer& layer, const std::string& name) {
  const auto parameters = layer.module->named_parameters();
  const at::Tensor* const found = parameters.find(name);
  return found == nullptr ? at::Tensor() : found->detach();
}

TensorTour::TensorTour(const ClassifierRuns& runs, const std::vector<LayerPlace>& places,
                       std::function<void()> after_batch)
    : runs_(runs),
      places_(places),
      after_batch_(std::move(after_batch)),
      layers_(layers_by_name(*runs.model)) {
  for (const LayerPlace& place : places_) {
    const auto layer = layers_.find(place.layer);
    bool is_there = layer != layers_.end();
    if (is_there && place.place != Place::output) {
      is_there = parameter_of(layer->second, to_string(place.place)).defined();
    }
    if (!is_there) throw Error(place.text() + " is no place of the model");
  }
  strip(*runs_.model);
  runs_.model->eval();
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
  if (outputs.empty() || !runs_.inputs) return;
  std::int64_t samples = 0;  // of the batch
  set_output_observer(*runs_.model, [&](const std::string& layer, const at::Tensor& output) {
    const auto place = outputs.find(layer);
    if (place != outputs.end()) see_output(place->second, output, samples, see);
  });
  for (std::size_t batch = 0; batch < runs_.batches; ++batch) {
    ClassifierRuns::Tensors x = runs_.inputs(batch);
    samples = x.front().size(0);
    runs_.logits(std::move(x));
    if (after_batch_) after_batch_();
  }
  set_output_observer(*runs_.model, {});
}

void TensorTour::see_parameter(std::size_t i, const SeePart& see) const {
  const ModelLayer& layer = layers_.at(places_[i].layer);
  const at::Tensor x = parameter_of(layer, to_string(places_[i].place));
  show(i, x.to(at::kFloat).contiguous(), layer.twin->weight_axes(), see);
}

void TensorTour::see_output(std::size_t i, const at::Tensor& output, std::int64_t samples,
                            const SeePart& see) const {
  const at::Tensor all = output.to(at::kFloat).contiguous();
  const int channel = layers_.at(places_[i].layer).twin->output_axis();
  if (all.dim() == 0 || all.size(0) != samples) return show(i, all, {channel, channel}, see);
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    show(i, all.narrow(0, sample, 1), {channel, channel}, see);
  }
}

}  // namespace tensorquant
