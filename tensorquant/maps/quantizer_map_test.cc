#include "tensorquant/maps/quantizer_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensorquant/base/error.h"
#include "tensorquant/quantizers/hardware.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

std::string spec(const std::shared_ptr<const Quantizer>& quantizer) {
  return quantizer ? quantizer->spec() : "null";
}

std::vector<std::string> keys(const QuantizerMap& map) {
  std::vector<std::string> keys;
  for (const Rule& rule : map.rules()) keys.push_back(rule.pattern.key());
  return keys;
}

// The value of the only rule {"conv": value}.
RuleValue value_of(const std::string& value, MapKind kind) {
  return QuantizerMap::from_json("{\"conv\": " + value + "}", kind).rules().at(0).value;
}

std::string canonical(const std::string& value, MapKind kind) {
  return QuantizerMap::from_json("{\"conv\": " + value + "}", kind).rules().at(0).text;
}

TEST(QuantizerMap, KeepsTheOrderOfTheText) {
  const auto map = QuantizerMap::from_json(
      R"({"z": "fp16", "a": "binary", "m": null, "": "none", "b": "fp16"})");
  EXPECT_THAT(keys(map), ElementsAre("z", "a", "m", "", "b"));
  EXPECT_THAT(map.rules()[1].origin, "line 1, column 15");
}

TEST(QuantizerMap, TheFirstKeyThatHitsWins) {
  const auto map = QuantizerMap::from_json(
      R"({"conv2": "nearest,8,4", "conv": "fp16", "=fc1": null, "re:fc[0-9]": "binary"})");
  EXPECT_EQ(spec(map.find("conv2")), "nearest,8,4");
  EXPECT_EQ(spec(map.find("conv1")), "fp16");
  EXPECT_EQ(spec(map.find("fc1")), "null");
  EXPECT_EQ(spec(map.find("fc2")), "binary");
  EXPECT_EQ(spec(map.find("pool")), "null");
  EXPECT_EQ(map.find_rule("fc1"), &map.rules()[2]);
  EXPECT_EQ(map.find_rule("pool"), nullptr);
}

TEST(QuantizerMap, AQuantizerStringAloneIsForEveryLayer) {
  const auto map = QuantizerMap::from_json(R"( "nearest,8,4" )", MapKind::extrinsic);
  EXPECT_EQ(map, QuantizerMap({{"", "nearest,8,4"}}, MapKind::extrinsic));
  EXPECT_EQ(spec(map.find("anything")), "nearest,8,4");
}

TEST(QuantizerMap, AnEmptyObjectHasNoRules) {
  EXPECT_TRUE(QuantizerMap::from_json("{}").empty());
  EXPECT_EQ(QuantizerMap::from_json(" {\n} ").to_json(), "{}");
}

TEST(QuantizerMap, PlainStringsGiveOneQuantizerToBothPlaces) {
  const RuleValue weights = value_of(R"("nearest,8,4")", MapKind::weights);
  EXPECT_EQ(spec(weights.weight), "nearest,8,4");
  EXPECT_EQ(weights.weight, weights.bias);
  EXPECT_FALSE(weights.output || weights.product || weights.accumulator);

  const RuleValue extrinsic = value_of(R"("nearest,8,4")", MapKind::extrinsic);
  EXPECT_EQ(spec(extrinsic.output), "nearest,8,4");
  EXPECT_FALSE(extrinsic.weight || extrinsic.bias || extrinsic.product || extrinsic.accumulator);

  const RuleValue intrinsic = value_of(R"("nearest,8,4")", MapKind::intrinsic);
  EXPECT_EQ(spec(intrinsic.product), "nearest,8,4");
  EXPECT_EQ(intrinsic.product, intrinsic.accumulator);
  EXPECT_EQ(intrinsic.accumulate, Accumulate{});
  EXPECT_FALSE(intrinsic.weight || intrinsic.bias || intrinsic.output);
}

TEST(QuantizerMap, NullAndNoneLeaveALayerAlone) {
  for (const MapKind kind : kMapKinds) {
    for (const char* text : {"null", R"("none")", R"(" none ")"}) {
      const RuleValue value = value_of(text, kind);
      EXPECT_FALSE(value.weight || value.bias || value.output || value.product ||
                   value.accumulator);
      EXPECT_EQ(canonical(text, kind), "null");
    }
  }
}

TEST(QuantizerMap, WeightsObjectsLeaveMissingPartsAlone) {
  const RuleValue weight = value_of(R"({"weight": "nearest,8,6"})", MapKind::weights);
  EXPECT_EQ(spec(weight.weight), "nearest,8,6");
  EXPECT_EQ(weight.bias, nullptr);
  const RuleValue bias =
      value_of(R"({"bias": "nearest,16,12", "weight": "none"})", MapKind::weights);
  EXPECT_EQ(bias.weight, nullptr);
  EXPECT_EQ(spec(bias.bias), "nearest,16,12");
  const RuleValue neither = value_of(R"({"weight": null, "bias": "none"})", MapKind::weights);
  EXPECT_FALSE(neither.weight || neither.bias);
}

TEST(QuantizerMap, IntrinsicObjectsKeepTheIdentity) {
  const RuleValue product = value_of(R"({"product": "nearest,16,8"})", MapKind::intrinsic);
  EXPECT_EQ(spec(product.product), "nearest,16,8");
  EXPECT_EQ(spec(product.accumulator), "none");
  const RuleValue both =
      value_of(R"({"accumulate": "once", "accumulator": "nearest,24,12", "product": null})",
               MapKind::intrinsic);
  EXPECT_EQ(spec(both.product), "none");
  EXPECT_EQ(spec(both.accumulator), "nearest,24,12");
  EXPECT_EQ(both.accumulate.mode, Accumulate::Mode::once);
  const RuleValue exact =
      value_of(R"({"product": "none", "accumulator": "none"})", MapKind::intrinsic);
  EXPECT_EQ(spec(exact.product), "none");
  EXPECT_EQ(spec(exact.accumulator), "none");
}

TEST(QuantizerMap, ReadsEveryWayToAccumulate) {
  const auto accumulate = [](const std::string& text) {
    return value_of(R"({"product": "fp16", "accumulate": ")" + text + "\"}", MapKind::intrinsic)
        .accumulate;
  };
  EXPECT_EQ(accumulate("step"), (Accumulate{Accumulate::Mode::step, 0}));
  EXPECT_EQ(accumulate("once"), (Accumulate{Accumulate::Mode::once, 0}));
  EXPECT_EQ(accumulate("fused"), (Accumulate{Accumulate::Mode::fused, 0}));
  EXPECT_EQ(accumulate("chunk:1"), (Accumulate{Accumulate::Mode::chunk, 1}));
  EXPECT_EQ(accumulate("chunk:2147483647"), (Accumulate{Accumulate::Mode::chunk, 2147483647}));
  EXPECT_EQ(accumulate("align:32:13"), (Accumulate{Accumulate::Mode::align, 32, 13}));
  for (const char* text : {"step", "once", "chunk:8", "fused", "align:4:23", "align:1:64"}) {
    EXPECT_EQ(to_string(accumulate(text)), text);
  }
}

TEST(QuantizerMap, ReadsTwoAccumulatorsAndTheOrderOfTaps) {
  const RuleValue value = value_of(
      R"({"product": "none", "outer": {"every": 128, "accumulator": "float,8,23"}, "order": "tap"})",
      MapKind::intrinsic);
  ASSERT_TRUE(value.outer.has_value());
  EXPECT_EQ(value.outer->every, 128);
  EXPECT_EQ(value.outer->accumulator->spec(), "float,8,23");
  EXPECT_EQ(value.order, TapOrder::tap);
  // A part that is left out.
  const RuleValue lone = value_of(R"({"outer": {"every": 4}})", MapKind::intrinsic);
  EXPECT_EQ(lone.outer->accumulator->spec(), "none");
  EXPECT_EQ(lone.order, TapOrder::channel);
  EXPECT_EQ(value_of(R"({"outer": {"accumulator": null}})", MapKind::intrinsic).outer->every, 0);
  EXPECT_FALSE(value_of(R"({"order": "channel"})", MapKind::intrinsic).outer.has_value());
}

TEST(QuantizerMap, ANameOfHardwareStandsForItsArithmetic) {
  EXPECT_EQ(
      canonical(R"("hopper_fp8")", MapKind::intrinsic),
      R"({"product":"none","accumulator":"float,8,13,rounding=zero","accumulate":"align:32:13"})");
  EXPECT_EQ(canonical(R"("deepseek_fp8")", MapKind::intrinsic),
            R"({"product":"none","accumulator":"float,8,13,rounding=zero",)"
            R"("accumulate":"align:32:13","outer":{"accumulator":"float,8,23","every":128}})");
  EXPECT_EQ(canonical(R"("mx")", MapKind::intrinsic),
            R"({"product":"none","accumulator":"none","accumulate":"once",)"
            R"("outer":{"accumulator":"float,8,23"},"order":"tap"})");
  EXPECT_GE(hardware_list().size(), 9u);
  for (const Hardware& hardware : hardware_list()) {
    const std::string name(hardware.name);
    const QuantizerMap from_list({{"", name}}, MapKind::intrinsic);
    EXPECT_EQ(from_list, QuantizerMap::from_argument(name, MapKind::intrinsic)) << name;
    EXPECT_EQ(from_list, QuantizerMap::from_json(from_list.to_json(), MapKind::intrinsic)) << name;
    EXPECT_THROW(make_quantizer(name), Error) << name;
  }
}

TEST(QuantizerMap, EqualMeaningsHaveOneCanonicalText) {
  const auto weights = [](const char* text) { return canonical(text, MapKind::weights); };
  EXPECT_EQ(weights(R"(" nearest , 8 , 4 ")"), R"("nearest,8,4")");
  EXPECT_EQ(weights(R"({"bias": "fp16", "weight": "fp16"})"), R"("fp16")");
  EXPECT_EQ(weights(R"({"bias": "none", "weight": "fp16"})"), R"({"weight":"fp16"})");
  EXPECT_EQ(weights(R"({"bias": "fp16"})"), R"({"bias":"fp16"})");
  EXPECT_EQ(weights(R"({"bias": "fp16", "weight": "binary"})"),
            R"({"weight":"binary","bias":"fp16"})");
  EXPECT_EQ(weights(R"({"weight": null})"), "null");

  const auto intrinsic = [](const char* text) { return canonical(text, MapKind::intrinsic); };
  EXPECT_EQ(intrinsic(R"({"accumulate": "step", "accumulator": "fp16", "product": "fp16"})"),
            R"("fp16")");
  EXPECT_EQ(intrinsic(R"({"accumulate": "chunk:08", "accumulator": "fp16"})"),
            R"({"product":"none","accumulator":"fp16","accumulate":"chunk:8"})");
  EXPECT_EQ(intrinsic(R"({"accumulate": "step"})"), R"({"product":"none","accumulator":"none"})");
  EXPECT_EQ(intrinsic(R"({"order": "channel", "accumulate": "align:08:013"})"),
            R"({"product":"none","accumulator":"none","accumulate":"align:8:13"})");
  EXPECT_EQ(
      intrinsic(R"({"outer": {"accumulator": "none"}, "product": "fp16", "accumulator": "fp16"})"),
      R"({"product":"fp16","accumulator":"fp16","outer":{"accumulator":"none"}})");
}

TEST(QuantizerMap, GradientsOfErrorsWeightsAndBiasesHavePartsOfTheirOwn) {
  const auto text = [](const char* json) {
    return QuantizerMap::from_json(json, MapKind::gradients).to_json();
  };
  EXPECT_EQ(text(R"({"a": {"error": "fp16", "weight": "bf16", "bias": null}})"),
            R"({"a":{"error":"fp16","weight":"bf16"}})");
  EXPECT_EQ(text(R"({"a": {"error": "fp16", "weight": "fp16", "bias": "fp16"}})"),
            R"({"a":"fp16"})");
  EXPECT_THAT([&] { text(R"({"a": {"output": "fp16"}})"); },
              ThrowsMessage<Error>("line 1, column 8: unknown key 'output' in a gradients map, "
                                   "expected 'error', 'weight' or 'bias'"));
}

TEST(QuantizerMap, StatesOfAnOptimizerGoByTheirOwnNamesToo) {
  const auto read = [](const char* json) {
    return QuantizerMap::from_json(json, MapKind::optimizer);
  };
  const QuantizerMap map = read(
      R"({"": {"update": "bf16", "state": "fp16", "exp_avg": "float,4,3", "max": "none", "b": "fp16"}})");
  const std::string text =
      R"({"":{"state":"fp16","update":"bf16","exp_avg":"float,4,3","max":null}})";
  EXPECT_EQ(map.to_json(), text);  // 'b' says no more than 'state'
  EXPECT_EQ(read(text.c_str()), map);
  EXPECT_EQ(map.rules()[0].value.states.at("max"), nullptr);
  EXPECT_EQ(read(R"({"": {"exp_avg": null}})").to_json(), R"({"":null})");
  EXPECT_EQ(read(R"("bf16")"), read(R"({"": {"state": "bf16", "update": "bf16"}})"));
  EXPECT_THAT([&] { read(R"({"": {"weight": "fp16"}})"); },
              ThrowsMessage<Error>("line 1, column 7: unknown key 'weight' in an optimizer map, "
                                   "expected 'state' or 'update' or the name of a state"));
  EXPECT_THROW(QuantizerMap().add("", RuleValue{.states = {{"exp_avg", nullptr}}}), Error);
}

TEST(QuantizerMap, CanonicalJsonReadsBackAsTheSameMap) {
  const auto map = QuantizerMap::from_json(
      R"({"z\"\\\n\u00e4": "nearest, 8, 4", "fc1": {"bias": "fp16"}, "": null, "=a": "binary"})");
  EXPECT_EQ(QuantizerMap::from_json(map.to_json()), map);
  EXPECT_EQ(map.to_json(),
            "{\"z\\\"\\\\\\n\xC3\xA4\":\"nearest,8,4\",\"fc1\":{\"bias\":\"fp16\"},\"\":null,"
            "\"=a\":\"binary\"}");
  const auto intrinsic = QuantizerMap::from_json(
      R"({"a": {"product": "fp16"}, "b": {"accumulator": "fp16", "accumulate": "fused"},
          "c": {"accumulate": "step"}, "d": "none", "e": "fp16"})",
      MapKind::intrinsic);
  EXPECT_EQ(QuantizerMap::from_json(intrinsic.to_json(), MapKind::intrinsic), intrinsic);
}

TEST(QuantizerMap, EqualityLooksAtKindOrderKeysAndValues) {
  const QuantizerMap map({{"a", "fp16"}, {"b", "binary"}});
  EXPECT_EQ(map, QuantizerMap::from_json(R"({"a": "fp16", "b": "binary"})"));
  EXPECT_NE(map, QuantizerMap({{"b", "binary"}, {"a", "fp16"}}));
  EXPECT_NE(map, QuantizerMap({{"a", "fp16"}, {"b", "fp16"}}));
  EXPECT_NE(map, QuantizerMap({{"a", "fp16"}, {"c", "binary"}}));
  EXPECT_NE(map, QuantizerMap({{"a", "fp16"}, {"b", "binary"}}, MapKind::extrinsic));
}

TEST(QuantizerMap, IsMadeFromAListOfPairs) {
  const QuantizerMap one({{"conv", "nearest,8,4"}});
  EXPECT_THAT(keys(one), ElementsAre("conv"));
  const QuantizerMap two({{"conv", "nearest,8,4"}, {"fc", "ternary"}});
  EXPECT_THAT(keys(two), ElementsAre("conv", "fc"));
  EXPECT_EQ(two.rules()[1].origin, "rule 2");
  const std::vector<std::pair<std::string, std::string>> pairs = {{"z", "fp16"}, {"a", "none"}};
  const QuantizerMap from_vector(pairs, MapKind::intrinsic);
  EXPECT_THAT(keys(from_vector), ElementsAre("z", "a"));
  EXPECT_EQ(from_vector.kind(), MapKind::intrinsic);
}

TEST(QuantizerMap, ErrorsOfAListNameTheRule) {
  EXPECT_THAT(
      [] {
        QuantizerMap({{"a", "fp16"}, {"b", "neares,8,4"}});
      },
      ThrowsMessage<Error>("rule 2: quantizer 'neares,8,4', column 1: unknown name "
                           "'neares', did you mean 'nearest'?"));
  EXPECT_THAT(
      [] {
        QuantizerMap({{"a", "fp16"}, {"b", "fp16"}, {"a", "none"}});
      },
      ThrowsMessage<Error>("rule 3: duplicate key 'a', first at rule 1"));
  EXPECT_THAT(
      [] {
        QuantizerMap({{"re:a[", "fp16"}});
      },
      ThrowsMessage<Error>(StartsWith("rule 1: invalid regular expression 'a[': ")));
}

TEST(QuantizerMap, TakesQuantizersAndWholeValues) {
  QuantizerMap map;
  const auto q = make_quantizer("nearest,8,6");
  map.add("conv", q).add("fc1", {.weight = q, .bias = make_quantizer("none")}).add("fc2", nullptr);
  EXPECT_EQ(map.find("conv1"), q);
  EXPECT_EQ(map.to_json(), R"({"conv":"nearest,8,6","fc1":{"weight":"nearest,8,6"},"fc2":null})");

  QuantizerMap intrinsic({}, MapKind::intrinsic);
  intrinsic.add("fc", {.accumulator = q, .accumulate = {Accumulate::Mode::chunk, 4}});
  EXPECT_EQ(intrinsic.to_json(),
            R"({"fc":{"product":"none","accumulator":"nearest,8,6","accumulate":"chunk:4"}})");
}

TEST(QuantizerMap, RefusesValuesOfAnotherKind) {
  const auto q = make_quantizer("fp16");
  const auto add = [](MapKind kind, const RuleValue& value) {
    return [=] { QuantizerMap({}, kind).add("conv", value); };
  };
  EXPECT_THAT(add(MapKind::weights, {.output = q}),
              ThrowsMessage<Error>("rule 1: a quantizer for 'output' in a map of kind 'weights'"));
  EXPECT_THAT(add(MapKind::extrinsic, {.weight = q}),
              ThrowsMessage<Error>(HasSubstr("a quantizer for 'weight'")));
  EXPECT_THAT(add(MapKind::weights, {.product = q}),
              ThrowsMessage<Error>(HasSubstr("a quantizer for 'product'")));
  EXPECT_THAT(add(MapKind::extrinsic, {.accumulate = {Accumulate::Mode::once, 0}}),
              ThrowsMessage<Error>(HasSubstr("an 'accumulate' in a map of kind 'extrinsic'")));
  EXPECT_THAT(add(MapKind::intrinsic, {.product = q, .accumulate = {Accumulate::Mode::chunk, 0}}),
              ThrowsMessage<Error>("rule 1: a chunk must be an integer of 1 or more"));
  EXPECT_THAT(add(MapKind::intrinsic, {.accumulate = {Accumulate::Mode::align, 4, 65}}),
              ThrowsMessage<Error>("rule 1: align's fraction must be an integer from 1 to 64"));
  EXPECT_THAT(add(MapKind::intrinsic, {.outer = OuterSum{q, -1}}),
              ThrowsMessage<Error>("rule 1: 'every' must be an integer of 1 or more"));
  EXPECT_THAT(add(MapKind::weights, {.outer = OuterSum{q, 1}}),
              ThrowsMessage<Error>(HasSubstr("an 'outer' in a map of kind 'weights'")));
  EXPECT_THAT(add(MapKind::extrinsic, {.order = TapOrder::tap}),
              ThrowsMessage<Error>(HasSubstr("an 'order' in a map of kind 'extrinsic'")));
}

TEST(QuantizerMap, AFailedAddLeavesTheMapAsItWas) {
  QuantizerMap map({{"a", "fp16"}});
  EXPECT_THROW(map.add("a", make_quantizer("binary")), Error);
  EXPECT_THROW(map.add("re:[", make_quantizer("binary")), Error);
  EXPECT_EQ(map, QuantizerMap({{"a", "fp16"}}));
}

TEST(QuantizerMap, CopiesAreIndependent) {
  QuantizerMap original({{"conv", "nearest,8,4"}});
  QuantizerMap copy = original;
  copy.add("fc", make_quantizer("fp16"));
  EXPECT_EQ(original.rules().size(), 1u);
  original = QuantizerMap();
  EXPECT_EQ(spec(copy.find("conv1")), "nearest,8,4");
  EXPECT_EQ(spec(copy.find("fc1")), "fp16");
}

}  // namespace
}  // namespace tensorquant
