#include "tensorquant/models/suggestion.h"

#include <ATen/ATen.h>

#include <limits>
#include <map>
#include <utility>

#include "tensorquant/libtorch/layers/quantizable_layer.h"
#include "tensorquant/libtorch/model/walk.h"

namespace tensorquant {
namespace {

void include(const at::Tensor& values, const std::string& what, ValueRange& range) {
  if (values.numel() == 0) return;
  range.include(values.min().item<double>(), values.max().item<double>(), what);
}

}  // namespace

std::vector<LayerRanges> observe_ranges(
    const SampleRuns& samples,
    const std::function<void(std::size_t done, std::size_t all)>& after_sample) {
  const at::NoGradGuard no_grad;
  std::vector<LayerRanges> ranges;
  std::map<std::string, std::size_t> index;
  std::vector<std::string> names;
  for (const ModelLayer& one : layers_of(*samples.model)) {
    if (!one.is_plain()) continue;
    const std::string& name = names.emplace_back(one.name());
    index[name] = ranges.size();
    LayerRanges& layer = ranges.emplace_back();
    layer.layer = name;
    for (const auto& item : one.module->named_parameters()) {
      include(item.value(), name + "." + item.key(),
              is_bias(item.key()) ? layer.bias : layer.weight);
    }
  }
  const std::map<std::string, Calibrator> outputs =
      observe_outputs(samples, {CalibrationMethod::Kind::minmax}, names, after_sample);
  for (const auto& [name, calibrator] : outputs) {
    const Summary& seen = calibrator.summary();
    const std::string what = "the output of " + name;
    ValueRange& range = ranges[index.at(name)].output;
    if (seen.nan + seen.infinite > 0)
      range.include(0, std::numeric_limits<double>::infinity(), what);
    if (seen.finite > 0) range = calibrator.range(what);
  }
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
