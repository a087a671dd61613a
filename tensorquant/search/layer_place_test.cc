#include "tensorquant/search/layer_place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;

const std::vector<LayerPlace> kPlaces = {{Place::weight, "a.conv"},
                                         {Place::output, "a.relu"},
                                         {Place::weight, "b.conv"},
                                         {Place::bias, "b.conv"}};

TEST(LayerPlace, IsReadAsItIsWritten) {
  for (const LayerPlace& place : kPlaces) EXPECT_EQ(layer_place(place.text()), place);
  EXPECT_EQ(layer_place("output:a:b").layer, "a:b");
  for (const char* wrong : {"weight", "", "product:a", ":a"})
    EXPECT_THROW(layer_place(wrong), Error);
}

TEST(LayerPlace, GetsARuleByItsLayersFullName) {
  const auto four = make_quantizer("nearest,4,2"), six = make_quantizer("nearest,6,3");
  const std::vector<std::shared_ptr<const Quantizer>> quantizers = {four, six, nullptr, six};
  EXPECT_EQ(maps_of(kPlaces, quantizers).to_json(),
            R"({"weights":{"=a.conv":{"weight":"nearest,4,2"},"=b.conv":{"bias":"nearest,6,3"}},)"
            R"("extrinsic":{"=a.relu":"nearest,6,3"}})");
  EXPECT_THROW(maps_of(kPlaces, std::span(quantizers).first(3)), Error);
}

TEST(MapsWithoutAPlace, LeaveItAloneAndNothingElse) {
  const Override maps = Override::from_json(
      R"({"weights": {"conv": "nearest,4,2", "fc": {"weight": "nearest,3,1"}}, "extrinsic": "nearest,6,3"})");
  const Override weight = without(maps, {Place::weight, "conv1"}, "conv1");
  for (const char* layer : {"conv1", "conv2", "fc"}) {
    const RuleValue was = maps.weights.find_rule(layer)->value;
    const RuleValue is = weight.weights.find_rule(layer)->value;
    EXPECT_EQ(is.bias == nullptr, was.bias == nullptr) << layer;
    EXPECT_EQ(is.weight == nullptr, layer == std::string("conv1")) << layer;
  }
  EXPECT_EQ(weight.extrinsic, maps.extrinsic);
  const Override output = without(maps, {Place::output, "fc"}, "fc");
  EXPECT_EQ(output.extrinsic.find("fc"), nullptr);
  EXPECT_EQ(output.extrinsic.find("conv1")->spec(), "nearest,6,3");
  EXPECT_EQ(output.weights, maps.weights);
  // Where there is nothing nothing changes; a second place of the layer goes with the first.
  EXPECT_EQ(without(maps, {Place::bias, "fc"}, "fc"), maps);
  EXPECT_EQ(without(weight, {Place::bias, "conv1"}, "conv1").weights.find_rule("conv1")->text,
            "null");
}

TEST(Groups, AreThePlacesThatATieHits) {
  const auto groups = [](const std::vector<std::string>& ties) { return groups_of(kPlaces, ties); };
  EXPECT_THAT(groups({}),
              ElementsAre(ElementsAre(0), ElementsAre(1), ElementsAre(2), ElementsAre(3)));
  EXPECT_THAT(groups({"weights"}), ElementsAre(ElementsAre(0, 2), ElementsAre(1), ElementsAre(3)));
  EXPECT_THAT(groups({"b\\.conv"}), ElementsAre(ElementsAre(0), ElementsAre(1), ElementsAre(2, 3)));
  EXPECT_THROW(groups({"weights", "conv"}), Error);
  EXPECT_THROW(groups({"fc"}), Error);
  EXPECT_THROW(groups({"("}), Error);
}

}  // namespace
}  // namespace tensorquant
