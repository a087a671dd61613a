#include "tensorquant/maps/override.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

constexpr const char* kThree = R"({
  "intrinsic": {"fc": {"product": "nearest,16,8", "accumulator": "nearest,24,12"}},
  "weights": {"conv": "nearest,8,6", "fc": {"weight": "nearest,8,6", "bias": "nearest,16,12"}},
  "extrinsic": "nearest,8,4"
})";

TEST(Override, ReadsThreeMapsFromOneText) {
  const auto maps = Override::from_json(kThree);
  EXPECT_EQ(maps.weights.kind(), MapKind::weights);
  EXPECT_EQ(maps.extrinsic, QuantizerMap({{"", "nearest,8,4"}}, MapKind::extrinsic));
  EXPECT_EQ(maps.intrinsic.find_rule("fc1")->value.accumulator->spec(), "nearest,24,12");
  EXPECT_EQ(maps.weights.find_rule("fc1")->value.bias->spec(), "nearest,16,12");
  EXPECT_EQ(maps.weights.rules()[1].origin, "line 3, column 38");
}

TEST(Override, ReadsThreeMapsFromOneFile) {
  const auto path = std::filesystem::path(testing::TempDir()) / "tensorquant_override.json";
  std::ofstream(path) << kThree;
  EXPECT_EQ(Override::from_file(path), Override::from_json(kThree));
  EXPECT_EQ(Override::from_file(path).weights.rules()[0].origin, path.string() + ":3:15");
  std::filesystem::remove(path);
  EXPECT_THAT([&] { Override::from_file(path); },
              ThrowsMessage<Error>(path.string() + ": no such file"));
}

TEST(Override, MapsMayBeLeftOut) {
  EXPECT_TRUE(Override().empty());
  EXPECT_TRUE(Override::from_json("{}").empty());
  const auto maps = Override::from_json(R"({"extrinsic": {"conv": "fp16"}})");
  EXPECT_FALSE(maps.empty());
  EXPECT_TRUE(maps.weights.empty());
  EXPECT_EQ(maps.intrinsic.kind(), MapKind::intrinsic);
}

TEST(Override, CanonicalJsonReadsBackAsTheSameMaps) {
  const auto maps = Override::from_json(kThree);
  EXPECT_EQ(Override::from_json(maps.to_json()), maps);
  EXPECT_EQ(maps.to_json(),
            R"({"weights":{"conv":"nearest,8,6",)"
            R"("fc":{"weight":"nearest,8,6","bias":"nearest,16,12"}},)"
            R"("extrinsic":{"":"nearest,8,4"},)"
            R"("intrinsic":{"fc":{"product":"nearest,16,8","accumulator":"nearest,24,12"}}})");
  EXPECT_EQ(Override().to_json(), "{}");
}

TEST(Override, OneMapAloneIsAnErrorThatSaysHowToReadIt) {
  EXPECT_THAT(
      [] { Override::from_json(R"({"conv": "fp16"})"); },
      ThrowsMessage<Error>("line 1, column 2: unknown map 'conv', expected 'weights', 'extrinsic', "
                           "'intrinsic', 'gradients' or 'optimizer'; a file with one map alone is "
                           "read as such (--weights, --extrinsic, "
                           "--intrinsic, QuantizerMap::from_file)"));
  EXPECT_THAT(
      [] { Override::from_json(R"("fp16")"); },
      ThrowsMessage<Error>("line 1, column 1: expected an object with 'weights', 'extrinsic', "
                           "'intrinsic', 'gradients' and 'optimizer', found a string"));
}

TEST(Override, ThreeMapsInPlaceOfOneAreAnErrorThatSaysHowToReadThem) {
  EXPECT_THAT([] { QuantizerMap::from_json(kThree); },
              ThrowsMessage<Error>(
                  "line 2, column 3: 'intrinsic' is the name of a map: this is not one map but a "
                  "file of all three (--maps, Override::from_file); a layer named so is "
                  "'=intrinsic'"));
  EXPECT_THAT([] { QuantizerMap::from_json(R"({"weights": "fp16"})"); },
              ThrowsMessage<Error>(HasSubstr("this is not one map but a file of all three")));
  // With other keys beside it, it can only be a layer's name.
  EXPECT_EQ(
      QuantizerMap::from_json(R"({"conv": null, "weights": "fp16"})").find("x.weights")->spec(),
      "fp16");
}

TEST(Override, HoldsTheMapsOfTrainingWhichOtherFrontEndsRefuseByTheirFirstRule) {
  constexpr const char* kText =
      R"({"weights":{"":"fp16"},"gradients":{"":"bf16"},"optimizer":{"":{"state":"fp16"}}})";
  Override maps = Override::from_json(kText);
  EXPECT_EQ(maps.to_json(), kText);
  EXPECT_THAT([&] { maps.refuse_training(); },
              ThrowsMessage<Error>("line 1, column 37: the gradients map is for tensorquant.torch "
                                   "in Python; here nothing of training is quantized"));
  maps.gradients = QuantizerMap({}, MapKind::gradients);
  EXPECT_THAT([&] { maps.refuse_training(); },
              ThrowsMessage<Error>(HasSubstr("the optimizer map is for")));
  maps.optimizer = QuantizerMap({}, MapKind::optimizer);
  EXPECT_NO_THROW(maps.refuse_training());
  EXPECT_FALSE(maps.empty());
  maps.weights = QuantizerMap();
  EXPECT_TRUE(maps.empty());
}

TEST(Override, ErrorsInsideAMapNameThePlace) {
  EXPECT_THAT([] { Override::from_json("{\"weights\": {\n  \"conv\": \"neares,8,4\"}}"); },
              ThrowsMessage<Error>("line 2, column 12: quantizer 'neares,8,4': unknown name "
                                   "'neares', did you mean 'nearest'?"));
  EXPECT_THAT([] { Override::from_json(R"({"extrinsic": {"conv": {"weight": "fp16"}}})"); },
              ThrowsMessage<Error>("line 1, column 24: expected a quantizer string or null, found "
                                   "an object"));
  EXPECT_THAT([] { Override::from_json(R"({"weights": null})"); },
              ThrowsMessage<Error>("line 1, column 13: expected an object of rules or a quantizer "
                                   "string, found null"));
  EXPECT_THAT([] { Override::from_json(R"({"weights": {}, "weights": {}})"); },
              ThrowsMessage<Error>(StartsWith("line 1, column 17: duplicate key 'weights'")));
}

TEST(Override, AMapOfAnotherKindIsAnError) {
  Override maps;
  maps.extrinsic = QuantizerMap({{"conv", "fp16"}});
  const auto matcher = ThrowsMessage<Error>(
      "the extrinsic map was made as a map of kind 'weights': give MapKind::extrinsic where it is "
      "made");
  EXPECT_THAT([&] { maps.check_kinds(); }, matcher);
  EXPECT_THAT([&] { maps.to_json(); }, matcher);
  EXPECT_THAT([&] { explain(maps, {"conv1"}); }, matcher);
  maps.extrinsic = QuantizerMap();
  EXPECT_NO_THROW(maps.check_kinds());
}

TEST(Override, CopiesAreIndependent) {
  Override maps = Override::from_json(kThree);
  const Override copy = maps;
  maps.weights = QuantizerMap();
  maps.seed = 7;
  EXPECT_NE(maps, copy);
  EXPECT_EQ(copy, Override::from_json(kThree));
}

}  // namespace
}  // namespace tensorquant
