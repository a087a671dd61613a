#include "tensorquant/report/evaluated_map.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace tensorquant {
namespace {

// A new folder in each test.
class AStore : public testing::Test {
 protected:
  AStore()
      : folder_(std::filesystem::temp_directory_path() /
                ("report_test_" + std::to_string(getpid()) + "_" +
                 testing::UnitTest::GetInstance()->current_test_info()->name())),
        store_(folder_, R"({"model": "mine"})") {}
  ~AStore() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  Store store_;
};

constexpr const char* kMetrics =
    R"("images": 40, "correct": 30, "kl": null, "logit_error": 0.5, "flips": 7, "lost": 6, "won": 1)";

std::string record(const std::string& maps, const std::string& more = "") {
  return std::string("{") + kMetrics + ", \"maps\": " + maps + more + "}";
}

using Places = std::vector<std::pair<std::string, int>>;
Places bits_of(const std::vector<PlaceFormat>& formats) {
  Places places;
  for (const PlaceFormat& format : formats) places.emplace_back(format.place, format.bits);
  return places;
}

TEST(PlacesIn, AreThoseOfAllMaps) {
  const std::vector<PlaceFormat> places = places_in(R"({
    "weights": {"=b": {"weight": "nearest,4,2", "bias": "nearest,16,8"}, "=a": "float,4,3"},
    "extrinsic": {"=b": "nearest,6,3", "conv.*": null},
    "intrinsic": {"=b": {"product": "fp16", "accumulator": "nearest,20,9"}, "=a": "nearest,12,4"}})");
  // float,4,3 has a sign, 4 bits of exponent and 3 of significand.
  EXPECT_EQ(bits_of(places), (Places{{"weight:b", 4},
                                     {"bias:b", 16},
                                     {"weight:a", 8},
                                     {"output:b", 6},
                                     {"product:b", 16},
                                     {"accumulator:b", 20},
                                     {"accumulator:a", 12}}));
  EXPECT_EQ(places[0].quantizer, "nearest,4,2");
}

TEST(PlacesIn, StandOnOneLineWhateverALayerIsCalled) {
  const auto places = places_in(R"({"weights": {"=a\n</script>": {"weight": "my own,3"}}})");
  ASSERT_EQ(places.size(), 1U);
  EXPECT_EQ(places[0].place.find('\n'), std::string::npos);
  EXPECT_NE(places[0].place.find("</script>"), std::string::npos);  // escaping is the page's
  EXPECT_EQ(places[0].bits, 32);  // of a quantizer that is not known here
}

TEST_F(AStore, OfRecordsGivesMapsInTheOrderOfTheirKeys) {
  store_.put(R"({"data":"bb","maps":2})", record(R"({"weights":{"=b":{"weight":"nearest,4,2"}}})"));
  store_.put(R"({"data":"aa","maps":1})",
             record(R"({"extrinsic":{"=a":"nearest,8,4"}})", R"(, "purpose": "test")"));
  const EvaluatedMaps evaluated = evaluated_maps(store_);
  ASSERT_EQ(evaluated.maps.size(), 2U);
  EXPECT_EQ(evaluated.others, 0U);
  const EvaluatedMap& first = evaluated.maps[0];
  EXPECT_EQ(first.data, "aa");
  EXPECT_EQ(first.purpose, "test");
  EXPECT_EQ(first.name.size(), 16U);
  EXPECT_EQ(bits_of(first.places), (Places{{"output:a", 8}}));
  EXPECT_EQ(first.accuracy(), 0.75);
  EXPECT_EQ(first.metrics.lost, 6U);
  EXPECT_FALSE(std::isfinite(first.metrics.kl));
  EXPECT_EQ(evaluated.maps[1].purpose, "");
  EXPECT_NE(evaluated.maps[1].name, first.name);
}

TEST_F(AStore, LeavesOutAndCountsWhatTellsNoMetrics) {
  store_.put("b", R"({"kl": 1})");
  store_.put("c", std::string("{") + kMetrics + "}");  // no maps
  store_.put("d", R"({"images": 0, "correct": 0, "kl": 0, "logit_error": 0, "flips": 0, "lost": 0,
                      "won": 0, "maps": {}})");
  store_.put("e", R"({"sufficient_bits": {"fc": 17}})");  // no evaluation, and so not counted
  store_.put("f", record("{}"));                          // a key that is no JSON names no images
  const EvaluatedMaps evaluated = evaluated_maps(store_);
  EXPECT_EQ(evaluated.others, 3U);
  ASSERT_EQ(evaluated.maps.size(), 1U);
  EXPECT_EQ(evaluated.maps[0].data, "");
}

TEST_F(AStore, TellsOfErrorsByThemselves) {
  store_.put(R"({"data":"aa","maps":{}})",
             R"({"error": "died\nthrice", "maps": {}, "purpose": "test"})");
  store_.put("b", R"({"error": {"code": 7}})");
  store_.put("c", record("{}", R"(, "seconds": 0.5)"));
  const EvaluatedMaps evaluated = evaluated_maps(store_);
  EXPECT_EQ(evaluated.others, 0U);
  ASSERT_EQ(evaluated.maps.size(), 1U);
  EXPECT_EQ(evaluated.maps[0].seconds, 0.5);
  ASSERT_EQ(evaluated.failed.size(), 2U);
  const FailedMap& unknown = evaluated.failed[0];
  EXPECT_EQ(unknown.error, "{\"code\":7}");
  EXPECT_EQ(unknown.maps, "");
  const FailedMap& died = evaluated.failed[1];
  EXPECT_EQ(died.error, "died\nthrice");
  EXPECT_EQ(died.maps, "{}");
  EXPECT_EQ(died.data, "aa");
  EXPECT_EQ(died.purpose, "test");
  EXPECT_EQ(died.name.size(), 16U);
}

TEST(AMap, IsUniformWhereAllPlacesHaveOneWidth) {
  EvaluatedMap map;
  EXPECT_EQ(map.uniform_bits(0), std::nullopt);
  map.places = {{"weight:a", "nearest,4,2", 4}, {"output:a", "nearest,4,1", 4}};
  EXPECT_EQ(map.uniform_bits(2), 4);
  EXPECT_EQ(map.uniform_bits(3), std::nullopt);  // one is float
  map.places[1].bits = 5;
  EXPECT_EQ(map.uniform_bits(2), std::nullopt);
}

}  // namespace
}  // namespace tensorquant
