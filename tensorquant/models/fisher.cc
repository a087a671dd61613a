#include "tensorquant/models/fisher.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/functional/conv.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/walk.h"
#include "tensorquant/libtorch/tensors/tensor_layout.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"
#include "tensorquant/models/tensor_tour.h"

namespace tensorquant {
namespace {

using torch::autograd::variable_list;

// What a layer with products makes of x with these parameters.
at::Tensor product_of(const ModelLayer& layer, const at::Tensor& x, const at::Tensor& weight,
                      const at::Tensor& bias) {
  at::Tensor y;
  if (const auto* conv = dynamic_cast<torch::nn::Conv2dImpl*>(layer.module)) {
    const auto& o = conv->options;
    y = torch::nn::functional::conv2d(x, weight,
                                      torch::nn::functional::Conv2dFuncOptions()
                                          .bias(bias)
                                          .stride(o.stride())
                                          .padding(o.padding())
                                          .dilation(o.dilation())
                                          .groups(o.groups()));
  } else {
    y = at::linear(x.flatten(1), weight, bias);
  }
  return layer.type.ends_with("Relu") ? y.relu() : y;
}

// The model on some images: what each layer gave, and what the gradients there are.
struct FloatRun {
  std::map<std::string, at::Tensor> outputs;
  at::Tensor probabilities;                                  // (images, classes), double
  std::map<std::string, std::vector<at::Tensor>> gradients;  // of each class
};

class FisherScores {
 public:
  FisherScores(const ModelInfo& info, ImageClassifier& model, const std::vector<LayerFacts>& facts,
               const std::vector<LayerPlace>& places)
      : info_(info), model_(model), places_(places), layers_(layers_by_name(model)) {
    strip(model_);
    model_.eval();
    for (const LayerFacts& one : facts) facts_.emplace(one.layer, one);
    for (const LayerPlace& place : places_) {
      if (place.place == Place::output) continue;
      if (facts_.at(place.layer).macs == 0) {
        throw Error(place.text() + ": Fisher scores are for parameters of layers with products");
      }
      source_of(place.layer);
    }
  }

  // Adds each choice's sum over the images.
  void add(const ImageDataset& data, std::span<const std::size_t> images,
           const std::vector<std::vector<std::shared_ptr<const Quantizer>>>& choices,
           std::vector<std::vector<double>>& sums) {
    const FloatRun run = float_run(preprocess(info_, data, images));
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      // (images, classes, elements)
      const at::Tensor gradients =
          at::stack(run.gradients.at(places_[i].layer), 1).flatten(2).to(at::kDouble);
      for (std::size_t c = 0; c < choices[i].size(); ++c) {
        const at::Tensor change =
            change_of(places_[i], *choices[i][c], run).flatten(1).to(at::kDouble).unsqueeze(2);
        const at::Tensor slopes = at::bmm(gradients, change).squeeze(2);
        sums[i][c] += sum_in_order((run.probabilities * slopes.square()).contiguous());
      }
    }
  }

 private:
  const std::string& source_of(const std::string& layer) const {
    const std::vector<std::string>& sources = facts_.at(layer).sources;
    if (sources.size() == 1) return sources.front();
    throw Error("layer '" + layer + "' reads " + std::to_string(sources.size()) +
                " layers' outputs: its Fisher score needs one");
  }

  FloatRun float_run(at::Tensor images) {
    FloatRun run;
    const at::AutoGradMode with_gradients(true);
    set_output_observer(model_, [&](const std::string& layer, const at::Tensor& output) {
      run.outputs[layer] = output;
    });
    const at::Tensor log_p = model_.forward(images.requires_grad_()).log_softmax(1);
    set_output_observer(model_, {});
    run.probabilities = log_p.detach().to(at::kDouble).exp();
    std::vector<std::string> names;
    variable_list outputs;
    for (const LayerPlace& place : places_) {
      if (std::find(names.begin(), names.end(), place.layer) != names.end()) continue;
      names.push_back(place.layer);
      outputs.push_back(run.outputs.at(place.layer));
    }
    for (std::int64_t c = 0; c < log_p.size(1); ++c) {
      // Images do not touch each other, so one pass has the gradients of all.
      const variable_list gradients =
          torch::autograd::grad({-log_p.select(1, c).sum()}, outputs, {}, /*retain_graph=*/true);
      for (std::size_t i = 0; i < names.size(); ++i) {
        run.gradients[names[i]].push_back(gradients[i]);
      }
    }
    for (auto& [name, output] : run.outputs) output = output.detach();
    return run;
  }

  at::Tensor change_of(const LayerPlace& place, const Quantizer& quantizer,
                       const FloatRun& run) const {
    const ModelLayer& layer = layers_.at(place.layer);
    const at::Tensor& output = run.outputs.at(place.layer);
    if (place.place == Place::output) {
      const int channel = layer.twin->output_axis();
      return quantized(output, quantizer, {channel, channel}) - output;
    }
    const at::Tensor& x = run.outputs.at(source_of(place.layer));
    const at::Tensor weight = parameter_of(layer, "weight"), bias = parameter_of(layer, "bias");
    const TensorAxes axes = layer.twin->weight_axes();
    const at::Tensor changed = place.place == Place::weight
                                   ? product_of(layer, x, quantized(weight, quantizer, axes), bias)
                                   : product_of(layer, x, weight, quantized(bias, quantizer, axes));
    return changed - product_of(layer, x, weight, bias);
  }

  static at::Tensor quantized(const at::Tensor& x, const Quantizer& quantizer, TensorAxes axes) {
    return quantize(x, quantizer, Context{0, 0, 0, layout_of(x.sizes(), axes)});
  }

  static double sum_in_order(const at::Tensor& x) {
    double sum = 0;
    for (const double* at = x.data_ptr<double>(); at != x.data_ptr<double>() + x.numel(); ++at)
      sum += *at;
    return sum;
  }

  const ModelInfo& info_;
  ImageClassifier& model_;
  const std::vector<LayerPlace>& places_;
  std::map<std::string, ModelLayer> layers_;
  std::map<std::string, LayerFacts> facts_;
};

}  // namespace

std::vector<std::vector<double>> fisher_scores(
    const ModelInfo& info, ImageClassifier& model, const ImageDataset& data,
    const std::vector<LayerFacts>& facts, const std::vector<LayerPlace>& places,
    const std::vector<std::vector<std::shared_ptr<const Quantizer>>>& choices,
    const std::function<void(std::size_t images)>& after_images) {
  FisherScores fisher(info, model, facts, places);
  std::vector<std::vector<double>> scores;
  for (const auto& of_place : choices) scores.emplace_back(of_place.size(), 0.0);
  for (std::size_t first = 0; first < data.count; first += kFisherImages) {
    const std::vector<std::size_t> images = batch_indices(data, first, kFisherImages);
    fisher.add(data, images, choices, scores);
    if (after_images) after_images(first + images.size());
  }
  for (std::vector<double>& of_place : scores) {
    for (double& score : of_place) score /= 2 * static_cast<double>(data.count);
  }
  return scores;
}

}  // namespace tensorquant
