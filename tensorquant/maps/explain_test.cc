#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/override.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<NamedLayer> all_layers() { return {"conv1", "conv2", "fc1", "fc2"}; }

std::vector<std::string> messages(const Override& maps,
                                  const std::vector<NamedLayer>& layers = all_layers()) {
  std::vector<std::string> lines;
  for (const IdleRule& idle : explain(maps, layers).idle) lines.push_back(idle.message());
  return lines;
}

Override weights(const std::string& text) { return {.weights = QuantizerMap::from_json(text)}; }

TEST(Explain, NamesTheRuleThatChoseEachQuantizer) {
  const auto maps = Override::from_json(R"({"weights": {"conv2": null, "conv": "nearest,8,4"},
      "extrinsic": "fp16", "intrinsic": {"re:fc[0-9]": "nearest,16,8"}})");
  const Explanation explanation = explain(maps, all_layers());
  ASSERT_EQ(explanation.layers.size(), 4u);
  EXPECT_THAT(explanation.idle, IsEmpty());
  const LayerExplanation& conv1 = explanation.layers[0];
  EXPECT_EQ(conv1.layer, "conv1");
  EXPECT_EQ(conv1.weights, &maps.weights.rules()[1]);
  EXPECT_EQ(conv1.extrinsic, &maps.extrinsic.rules()[0]);
  EXPECT_EQ(conv1.intrinsic, nullptr);
  EXPECT_EQ(explanation.layers[1].weights, &maps.weights.rules()[0]);
  EXPECT_EQ(explanation.layers[1].weights->text, "null");
  EXPECT_EQ(explanation.layers[3].weights, nullptr);
  EXPECT_EQ(explanation.layers[3].intrinsic->text, R"("nearest,16,8")");
}

TEST(Explain, KeepsTheOrderOfTheLayersAndRepeatsThem) {
  const Override maps;
  const Explanation explanation = explain(maps, {"b", "a", "b"});
  ASSERT_EQ(explanation.layers.size(), 3u);
  EXPECT_EQ(explanation.layers[0].layer, "b");
  EXPECT_EQ(explanation.layers[1].layer, "a");
  EXPECT_EQ(explanation.layers[2].layer, "b");
}

TEST(Explain, ReportsAKeyThatHitsNoLayerWithTheNearestOne) {
  EXPECT_THAT(messages(weights("{\"conv\": \"fp16\",\n \"fc9\": null, \"=cnv2\": \"binary\"}")),
              ElementsAre("line 2, column 2: weights key 'fc9' hits no layer; the nearest is 'fc1'",
                          "line 2, column 15: weights key '=cnv2' hits no layer; the nearest is "
                          "'conv2'"));
}

TEST(Explain, FindsTheNearestLayerInsideLongNames) {
  EXPECT_THAT(messages(weights(R"({"downsmaple": "fp16"})"),
                       {"layer1.0.conv1", "layer2.0.downsample.0", "fc"}),
              ElementsAre("line 1, column 2: weights key 'downsmaple' hits no layer; the nearest "
                          "is 'layer2.0.downsample.0'"));
}

TEST(Explain, SuggestsNothingWhereNothingIsNear) {
  EXPECT_THAT(messages(weights(R"({"embedding": "fp16", "x": null, "=": null})")),
              ElementsAre("line 1, column 2: weights key 'embedding' hits no layer",
                          "line 1, column 23: weights key 'x' hits no layer",
                          "line 1, column 34: weights key '=' hits no layer"));
  EXPECT_THAT(messages(weights(R"("fp16")"), {}),
              ElementsAre("line 1, column 1: weights key '' hits no layer"));
}

TEST(Explain, OfATypeThatIsNotThereTellsThoseThatAre) {
  EXPECT_THAT(messages(weights(R"({"op:conv2d": "fp16"})"),
                       {{"a", "Conv2d"}, {"b", "Linear"}, {"c", "Conv2d"}}),
              ElementsAre("line 1, column 2: weights key 'op:conv2d' hits no layer; the types are "
                          "'Conv2d', 'Linear'"));
  EXPECT_THAT(messages(weights(R"({"op:Conv2d": "fp16"})")),
              ElementsAre("line 1, column 2: weights key 'op:Conv2d' hits no layer"));
}

TEST(Explain, OfWhatOnlyMovesNumbersTellsTheKeyThatHitsIt) {
  EXPECT_THAT(messages(weights(R"({"Flat": "fp16", "=Flatten": "fp16"})"),
                       {"conv", {"Flatten", "Flatten", NamedLayer::Kind::mover}}),
              ElementsAre("line 1, column 2: weights key 'Flat' hits no layer; 'Flatten' only "
                          "moves numbers, which '=Flatten' hits"));
}

TEST(Explain, AnInputIsForTheExtrinsicMapAlone) {
  const auto maps = Override::from_json(
      R"({"extrinsic": {"input:b": "bf16", "input": "fp16"}, "weights": {"input": "fp16"}})");
  const auto input = NamedLayer::Kind::input;
  const Explanation explanation =
      explain(maps, {{"input:a", "", input}, {"input:b", "", input}, "conv"});
  EXPECT_EQ(explanation.layers[0].extrinsic, &maps.extrinsic.rules()[1]);
  EXPECT_EQ(explanation.layers[1].extrinsic, &maps.extrinsic.rules()[0]);
  ASSERT_EQ(explanation.idle.size(), 1U);
  EXPECT_EQ(explanation.idle[0].kind, MapKind::weights);
}

TEST(Explain, SaysWhereARegularExpressionMatchesOnlyAPart) {
  EXPECT_THAT(messages(weights(R"({"re:conv": "fp16"})")),
              ElementsAre("line 1, column 2: weights key 're:conv' hits no layer; it matches only "
                          "a part of 'conv1'"));
}

TEST(Explain, ReportsAKeyThatEarlierOnesAlwaysShadow) {
  const Override maps = {.extrinsic = QuantizerMap(
                             {{"conv", "fp16"}, {"conv1", "binary"}, {"fc", "none"}, {"", "fp16"}},
                             MapKind::extrinsic)};
  EXPECT_THAT(messages(maps),
              ElementsAre("rule 2: extrinsic key 'conv1' does nothing: key 'conv' (rule 1) stands "
                          "before it and takes its layers",
                          "rule 4: extrinsic key '' does nothing: key 'conv' (rule 1) stands "
                          "before it and takes its layers"));
  EXPECT_EQ(explain(maps, all_layers()).idle[0].shadowed_by, &maps.extrinsic.rules()[0]);
  EXPECT_THAT(explain(maps, all_layers()).idle[0].suggestion, IsEmpty());
}

TEST(Explain, AKeyThatTakesOneLayerIsNotIdle) {
  EXPECT_THAT(messages(weights(R"({"conv1": "fp16", "conv": "binary", "": null})")), IsEmpty());
}

TEST(Explain, ListsIdleRulesMapByMapInTheirOrder) {
  const auto maps = Override::from_json(
      R"({"intrinsic": {"i": null}, "extrinsic": {"e2": null, "e1": null}, "weights": {"w": null}})");
  std::vector<std::string> keys;
  for (const IdleRule& idle : explain(maps, all_layers()).idle) {
    keys.push_back(to_string(idle.kind) + ' ' + idle.rule->pattern.key());
  }
  EXPECT_THAT(keys, ElementsAre("weights w", "extrinsic e2", "extrinsic e1", "intrinsic i"));
}

TEST(Explain, MessagesStayOnOneLine) {
  EXPECT_THAT(messages(weights(R"({"a\nb": "fp16"})")),
              ElementsAre("line 1, column 2: weights key 'a\\x0ab' hits no layer"));
}

TEST(Explain, SuggestsForTheFirst64KeysThatHitNothingAndReportsTheOthers) {
  QuantizerMap map({}, MapKind::weights);
  for (int i = 0; i < 100; ++i) map.add("konv" + std::to_string(i), nullptr);
  const Override maps{.weights = map};
  const Explanation explanation = explain(maps, all_layers());
  ASSERT_EQ(explanation.idle.size(), 100u);
  EXPECT_EQ(explanation.idle[63].suggestion, "conv1");
  EXPECT_EQ(explanation.idle[64].suggestion, "");
  EXPECT_EQ(explanation.idle[64].message(), "rule 65: weights key 'konv64' hits no layer");
}

}  // namespace
}  // namespace tensorquant
