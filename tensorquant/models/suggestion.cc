#include "tensorquant/models/suggestion.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/torch/layer.h"
#include "tensorquant/torch/model.h"

namespace tensorquant {
namespace {

constexpr int kFinest = 64, kCoarsest = -64;

bool covers(int bits, int fraction, const ValueRange& range) {
  const double limit = std::ldexp(1.0, bits - 1);
  return std::round(std::ldexp(range.low, fraction)) >= -limit &&
         std::round(std::ldexp(range.high, fraction)) <= limit - 1;
}

std::shared_ptr<const Quantizer> nearest(int bits, const ValueRange& range) {
  if (range.empty()) return nullptr;
  return make_quantizer("nearest," + std::to_string(bits) + "," +
                        std::to_string(fraction_for(bits, range)));
}

}  // namespace

void ValueRange::include(const at::Tensor& values, const std::string& what) {
  if (values.numel() == 0) return;
  const double least = values.min().item<double>(), greatest = values.max().item<double>();
  if (!std::isfinite(least) || !std::isfinite(greatest)) {
    throw Error(what + " has values that are not finite: no fixed-point format covers them");
  }
  low = std::min(low, least);
  high = std::max(high, greatest);
}

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
      ValueRange& range = is_bias(item.key()) ? layer.bias : layer.weight;
      range.include(item.value(), name + "." + item.key());
    }
  }
  set_output_observer(model, [&](const std::string& name, const at::Tensor& output) {
    // Further outputs of a layer are "name:output1"; one quantizer is for all of them.
    const std::string layer = name.substr(0, name.find(':'));
    ranges[index.at(layer)].output.include(output, "the output of " + layer);
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

int fraction_for(int bits, const ValueRange& range) {
  if (range.empty() || (range.low == 0 && range.high == 0)) return bits - 1;
  int fraction = kFinest;
  while (fraction > kCoarsest && !covers(bits, fraction, range)) --fraction;
  return fraction;
}

Override suggest_maps(int bits, const std::vector<LayerRanges>& ranges) {
  Override maps;
  for (const LayerRanges& layer : ranges) {
    if (!layer.weight.empty() || !layer.bias.empty()) {
      RuleValue value;
      value.weight = nearest(bits, layer.weight);
      value.bias = nearest(bits, layer.bias);
      maps.weights.add("=" + layer.layer, std::move(value));
    }
    if (!layer.output.empty()) maps.extrinsic.add("=" + layer.layer, nearest(bits, layer.output));
  }
  return maps;
}

}  // namespace tensorquant
