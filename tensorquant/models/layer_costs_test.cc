#include "tensorquant/models/layer_costs.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensorquant/libtorch/model/apply.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<LayerFacts> facts_of(const std::string& name) {
  const ModelInfo& info = find_model(name);
  return layer_facts(info, *make_model(info));
}

const LayerFacts& find(const std::vector<LayerFacts>& facts, const std::string& layer) {
  for (const LayerFacts& one : facts) {
    if (one.layer == layer) return one;
  }
  throw std::out_of_range(layer);
}

std::int64_t macs_of(const std::vector<LayerFacts>& facts) {
  std::int64_t sum = 0;
  for (const LayerFacts& one : facts) sum += one.macs;
  return sum;
}

TEST(LayerFacts, MultiplyAccumulatesAreThoseCountedByHand) {
  EXPECT_EQ(macs_of(facts_of("lenet")), 784 * 20 * 25 + 196 * 50 * 20 * 25 + 2450 * 500 + 500 * 10);
  // 1024, 256 and 64 pixels of 16, 32 and 64 channels, six convolutions each.
  const std::int64_t first = 1024 * 16 * 27, layer1 = 6 * 1024 * 16 * 16 * 9;
  const std::int64_t layer2 = 256 * 32 * 16 * 9 + 5 * 256 * 32 * 32 * 9;
  const std::int64_t layer3 = 64 * 64 * 32 * 9 + 5 * 64 * 64 * 64 * 9;
  EXPECT_EQ(macs_of(facts_of("resnet20")), first + layer1 + layer2 + layer3 + 640);
  EXPECT_EQ(macs_of(facts_of("resnet20")), 40'551'040);
}

TEST(LayerFacts, TellWhoMadeALayersInput) {
  const std::vector<LayerFacts> facts = facts_of("resnet20");
  EXPECT_THAT(find(facts, "input").sources, IsEmpty());
  EXPECT_THAT(find(facts, "conv1").sources, ElementsAre("input"));
  EXPECT_THAT(find(facts, "layer1.0.conv1").sources, ElementsAre("relu"));
  EXPECT_THAT(find(facts, "layer1.0.add").sources, ElementsAre("relu", "layer1.0.bn2"));
  EXPECT_THAT(find(facts, "layer2.0.add").sources,
              ElementsAre("layer2.0.bn2", "layer2.0.shortcut"));
  EXPECT_THAT(find(facts, "layer2.0.shortcut").sources, ElementsAre("layer1.2.relu2"));
  EXPECT_THAT(find(facts, "linear").sources, ElementsAre("flatten"));
  const LayerFacts& conv = find(facts, "layer2.0.conv1");
  EXPECT_EQ(conv.terms, 16 * 9);
  EXPECT_EQ(conv.weights, 32 * 16 * 9);
  EXPECT_EQ(conv.inputs, 16 * 1024);
  EXPECT_EQ(conv.outputs, 32 * 256);
  EXPECT_EQ(conv.uses(), 256);
  EXPECT_EQ(find(facts, "linear").biases, 10);
}

TEST(LayerFormats, BitOperationsOfUniformWidthsAreThatManyTimesTheProducts) {
  const ModelInfo& info = find_model("lenet");
  const auto model = make_model(info);
  const std::vector<LayerFacts> facts = layer_facts(info, *model);
  apply(*model, Override{.weights = QuantizerMap({{"", "nearest,4,3"}}),
                         .extrinsic = QuantizerMap({{"", "nearest,8,4"}}, MapKind::extrinsic)});
  const MapCost cost =
      CostFunction(facts, all_technologies().front())(layer_formats(*model, facts));
  EXPECT_EQ(cost.bops, 4.0 * 8 * static_cast<double>(macs_of(facts)));
  EXPECT_EQ(cost.bits, 4 * (500 + 20 + 25000 + 50 + 1225000 + 500 + 5000 + 10));
}

TEST(WorstCaseAccumulators, AreReachedByAnInputOfTheWeightsSigns) {
  const ModelInfo& info = find_model("lenet");
  const auto model = make_model(info);
  const std::vector<LayerFacts> facts = layer_facts(info, *model);
  const at::NoGradGuard no_grad;
  at::Tensor weight = model->named_parameters()["Dense4.weight"];
  weight.fill_(-1.0 / 8);
  weight[3].fill_(-1);  // code -8 of nearest,4,3: 500 of them
  apply(*model,
        Override{.weights = QuantizerMap({{"=Dense4", "nearest,4,3"}}),
                 .extrinsic = QuantizerMap({{"=Dense3", "nearest,6,2"}}, MapKind::extrinsic)});
  const std::vector<LayerFormats> formats = layer_formats(*model, facts);
  const MapCost cost = CostFunction(facts, all_technologies().front())(formats);
  const auto bits = worst_case_accumulators(*model, facts, formats, cost);
  // 500 * -8 * -32 = 128000, which 18 bits hold and 17 do not; Conv1's input is float.
  EXPECT_EQ(bits.back(), 18);
  EXPECT_EQ(bits[1], std::nullopt);
}

}  // namespace
}  // namespace tensorquant
