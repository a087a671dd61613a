#include "tensorquant/models/suggestion.h"

#include <ATen/ATen.h>

#include <map>
#include <utility>

#include "tensorquant/libtorch/layers/quantizable_layer.h"
#include "tensorquant/libtorch/model/observers.h"

namespace tensorquant {
namespace {

void include(const at::Tensor& values, const std::string& what, ValueRange& range) {
  if (values.numel() == 0) return;
  range.include(values.min().item<double>(), values.max().item<double>(), what);
}

}  // namespace

std::vector<LayerRanges> observe_ranges(
    const ModelInfo& info, ImageClassifier& model, const ImageDataset& data, std::size_t batch_size,
    const std::function<void(std::size_t images)>& after_batch) {
  const at::NoGradGuard no_grad;
  model.eval();
  std::vector<LayerRanges> ranges;
  std::map<std::string, std::size_t> index;
  const auto modules = model.named_modules();
  for (const std::string& name : layer_names(model)) {
    index[name] = ranges.size();
    LayerRanges& layer = ranges.emplace_back();
    layer.layer = name;
    for (const auto& item : modules[name]->named_parameters()) {
      include(item.value(), name + "." + item.key(),
              is_bias(item.key()) ? layer.bias : layer.weight);
    }
  }
  set_output_observer(model, [&](const std::string& name, const at::Tensor& output) {
    // Further outputs of a layer are "name:output1"; one quantizer is for all of them.
    const std::string layer = name.substr(0, name.find(':'));
    include(output, "the output of " + layer, ranges[index.at(layer)].output);
  });
  for (std::size_t done = 0; done < data.count;) {
    const std::vector<std::size_t> indices = batch_indices(data, done, batch_size);
    model.forward(preprocess(info, data, indices));
    done += indices.size();
    if (after_batch) after_batch(done);
  }
  set_output_observer(model, {});
  return ranges;
}

Override suggest_maps(int bits, const std::vector<LayerRanges>& ranges) {
  Override maps;
  for (const LayerRanges& layer : ranges) {
    if (!layer.weight.empty() || !layer.bias.empty()) {
      RuleValue value;
      value.weight = finest_fixed_point(bits, layer.weight);
      value.bias = finest_fixed_point(bits, layer.bias);
      maps.weights.add("=" + layer.layer, std::move(value));
    }
    if (!layer.output.empty())
      maps.extrinsic.add("=" + layer.layer, finest_fixed_point(bits, layer.output));
  }
  return maps;
}

}  // namespace tensorquant
