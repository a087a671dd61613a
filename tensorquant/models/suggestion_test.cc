#include "tensorquant/models/suggestion.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tensorquant/base/test_files.h"
#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/models/test_images.h"

namespace tensorquant {
namespace {

TEST(SuggestMaps, NameEveryLayerAndSaturateNothing) {
  for (const std::string name : {"lenet", "resnet20"}) {
    const ModelInfo& info = find_model(name);
    const auto model = make_model(info, 1);
    const ImageDataset data = test_images(info, 12);
    const auto ranges = observe_ranges(sample_runs(info, *model, data));
    const Override maps = suggest_maps(10, ranges);
    EXPECT_EQ(Override::from_json(maps.to_json()), maps);
    EXPECT_EQ(maps.extrinsic.rules().size(), layer_names(*model).size());

    const auto modules = model->named_modules();
    for (const LayerRanges& layer : ranges) {
      EXPECT_EQ(maps.extrinsic.find_rule(layer.layer)->pattern.key(), "=" + layer.layer);
      const Rule* rule = maps.weights.find_rule(layer.layer);
      ASSERT_EQ(rule != nullptr, !layer.weight.empty() || !layer.bias.empty()) << layer.layer;
      if (rule == nullptr) continue;
      for (const auto& item : modules[layer.layer]->named_parameters()) {
        const at::Tensor x = item.value().detach();
        const auto quantizer = item.key() == "bias" ? rule->value.bias : rule->value.weight;
        const double error = (quantize(x, quantizer) - x).abs().max().item<double>();
        // In range the error is at most half a step, and the range fills more than half the grid.
        const double largest = x.abs().max().item<double>();
        EXPECT_LE(error, largest * std::ldexp(1, -9)) << layer.layer << '.' << item.key();
      }
    }
    tensorquant::apply(model, maps);
    EXPECT_TRUE(model->forward(preprocess(info, data, batch_indices(data, 0, 4))).defined());
  }
}

}  // namespace
}  // namespace tensorquant
