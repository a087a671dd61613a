#include "tensorquant/libtorch/model/summary.h"

#include <algorithm>
#include <memory>

#include "tensorquant/base/table.h"
#include "tensorquant/libtorch/model/walk.h"

namespace tensorquant {
namespace {

std::string spec_of(const std::shared_ptr<const Quantizer>& quantizer) {
  return quantizer == nullptr ? "" : quantizer->spec();
}

}  // namespace

std::vector<LayerSummary> summary(ModelRef model) {
  std::vector<LayerSummary> rows;
  for (const ModelLayer& layer : layers_of(model)) {
    const bool is_quantized = layer.twin != nullptr && layer.twin->attached() != nullptr &&
                              layer.twin->attached()->quantizers.any();
    if (!layer.is_plain() && !is_quantized) continue;
    LayerSummary& row = rows.emplace_back();
    row.layer = layer.name();
    row.type = layer.type;
    row.quantizable = layer.twin != nullptr;
    if (layer.twin == nullptr || layer.twin->attached() == nullptr) continue;
    const LayerQuantizers& quantizers = layer.twin->attached()->quantizers;
    const auto has = [&](bool bias) {
      const auto& parameters = layer.twin->attached()->parameters;
      return std::any_of(parameters.begin(), parameters.end(),
                         [&](const auto& p) { return !p.name.empty() && p.is_bias == bias; });
    };
    if (has(/*bias=*/false)) row.weight = spec_of(quantizers.weight);
    if (has(/*bias=*/true)) row.bias = spec_of(quantizers.bias);
    row.output = spec_of(quantizers.output);
    if (!quantizers.intrinsic.empty()) {
      row.intrinsic =
          layer.twin->attached()->arithmetic ? quantizers.intrinsic : "nothing to round";
    }
    row.rule = quantizers.rule;
  }
  return rows;
}

std::string to_table(const std::vector<LayerSummary>& layers) {
  std::vector<std::vector<std::string>> rows;
  for (const LayerSummary& layer : layers) {
    auto& row = rows.emplace_back(std::vector<std::string>{
        layer.layer, layer.type, layer.weight, layer.bias, layer.output, layer.intrinsic,
        layer.quantizable ? layer.rule : "(not quantizable)"});
    for (std::string& cell : row) {
      if (cell.empty()) cell = "-";
    }
  }
  return format_table({"layer", "type", "weights", "bias", "output", "intrinsic", "rule"}, rows);
}

}  // namespace tensorquant
