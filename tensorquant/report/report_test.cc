#include "tensorquant/report/report.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/report/counted_layers.h"

namespace tensorquant {
namespace {

constexpr const char* kHostile = "</script><img src=x onerror=alert(1)>";

EvaluatedMap evaluated(std::string name, std::string purpose, std::string maps) {
  EvaluatedMap map;
  map.name = std::move(name);
  map.purpose = std::move(purpose);
  map.data = map.purpose;
  map.metrics = {.images = 100, .kl = 0.25, .correct = 86, .lost = 6, .won = 2};
  map.places = places_in(maps);
  map.maps = std::move(maps);
  return map;
}

std::string of_weights(int first, int second) {
  return std::string(R"({"weights":{"=)") + kHostile + R"(":{"weight":"nearest,)" +
         std::to_string(first) + R"(,2"},"=fc":{"weight":"nearest,)" + std::to_string(second) +
         ",2\"}}}";
}

// Of a store that holds one map.
Report small_report() {
  Report report;
  report.store = "runs";
  report.shared = R"({"model": "<mine>", "images": 100})";
  report.evaluated.maps = {evaluated("aaaa", "test", of_weights(4, 6))};
  return report;
}

std::vector<LayerFacts> facts() {
  return {{kHostile, "Conv2d", 400, 20, 40, 0, 30, 20, {}, false},
          {"fc", "Linear", 60, 20, 60, 3, 20, 3, {kHostile}, false}};
}

bool has(std::string_view page, std::string_view text) { return page.find(text) != page.npos; }

std::size_t count(std::string_view page, std::string_view text) {
  std::size_t found = 0;
  for (std::size_t at = page.find(text); at != page.npos; at = page.find(text, at + 1)) ++found;
  return found;
}

// The section under this heading.
std::string section(const std::string& page, const std::string& heading) {
  const std::size_t begin = page.find("<h2>" + heading + "</h2>");
  EXPECT_NE(begin, page.npos) << heading;
  return page.substr(begin, page.find("</section>", begin) - begin);
}

TEST(AReport, HasAllSectionsInTheOrderInWhichPeopleAsk) {
  const std::string page = report_html(small_report(), {});
  std::size_t last = 0;
  for (const char* const heading :
       {"What was evaluated", "Values and formats", "Places", "Sensitivity", "Accuracy over cost",
        "Accuracy over widths", "Arithmetic"}) {
    const std::size_t at = page.find("<h2>" + std::string(heading) + "</h2>");
    ASSERT_NE(at, page.npos) << heading;
    EXPECT_GT(at, last);
    last = at;
  }
  EXPECT_EQ(count(page, "<section>"), 7U);
  EXPECT_EQ(count(page, "</section>"), 7U);
}

TEST(AReport, SaysWhichCommandTellsWhatIsNotKnown) {
  const std::string page = report_html(small_report(), {});
  EXPECT_TRUE(has(section(page, "What was evaluated"), "Costs are not told"));
  EXPECT_TRUE(has(section(page, "Sensitivity"), "tensorquant sensitivity"));
  EXPECT_TRUE(has(section(page, "Accuracy over cost"), "tensorquant search"));
  EXPECT_FALSE(has(section(page, "Sensitivity"), "class=\"chart\""));
  EXPECT_FALSE(has(page, "<table id=\"front\""));
  EXPECT_FALSE(has(page, "<table id=\"accumulators\""));
}

TEST(AReport, ShowsNamesAsText) {
  const std::string page = report_html(small_report(), {});
  EXPECT_FALSE(has(page, "<img"));
  EXPECT_FALSE(has(page, "<mine>"));
  EXPECT_TRUE(has(page, "<title>TensorQuant report: &lt;mine&gt;</title>"));
  EXPECT_TRUE(has(page, "<td>weight:&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;</td>"));
  EXPECT_EQ(count(page, "<script"), 2U);  // the charts' data, and the page's own
  EXPECT_EQ(count(page, "</script"), 2U);
}

TEST(AReport, HasARowForEachPlaceAndHostileChartDataIsJson) {
  Report report = small_report();
  for (const int bits : {2, 4}) {
    report.evaluated.maps.push_back(evaluated("single" + std::to_string(bits), "score",
                                              std::string(R"({"weights":{"=)") + kHostile +
                                                  R"(":{"weight":"nearest,)" +
                                                  std::to_string(bits) + ",2\"}}}"));
  }
  const std::string page = report_html(report, {});
  EXPECT_EQ(count(section(page, "Places"), "<tr><td>"), 2U);
  EXPECT_TRUE(has(section(page, "Sensitivity"), "class=\"chart\""));
  EXPECT_TRUE(has(page, "weight:\\u003c/script>"));
  EXPECT_EQ(count(page, "</script"), 2U);
}

TEST(AReport, TellsCostsOfLayersThatAreKnown) {
  Report report = small_report();
  report.evaluated.maps.push_back(evaluated("bbbb", "test", of_weights(8, 8)));
  const CountedLayers layers(facts(), all_technologies().front());
  layers.add_costs(report);
  EXPECT_EQ(report.evaluated.maps[0].cost->bops, 400 * 4 * 32 + 60 * 6 * 32);
  EXPECT_EQ(report.evaluated.maps[1].cost->bops, 460 * 8 * 32);
  EXPECT_EQ(report.comparisons[0].second.bops, 460 * 32 * 32);
  EXPECT_EQ(report.comparisons[2].second.bops, 400 * 8 * 32 + 60 * 8 * 8);
  ASSERT_EQ(chosen_map(report.evaluated), &report.evaluated.maps[0]);
  report.map_name = "aaaa";
  report.map_reason = "the cheapest";
  layers.add_map(report, report.evaluated.maps[0].maps);
  const std::string page = report_html(report, {});
  EXPECT_TRUE(
      has(section(page, "What was evaluated"), "86.00 % ± 6.94 %"));  // 2 sqrt(.86 .14 / 100)
  EXPECT_TRUE(has(section(page, "What was evaluated"), "Horowitz"));
  EXPECT_TRUE(has(section(page, "Accuracy over cost"), "<table id=\"front\""));
  EXPECT_EQ(count(section(page, "Arithmetic"), "<tr><td>"), 2U);
  EXPECT_TRUE(has(section(page, "Places"), "The map is aaaa, the cheapest."));
}

TEST(CountedLayers, FollowRulesOfManyLayersAndTellWorstCases) {
  Report report = small_report();
  const CountedLayers layers(facts(), all_technologies().front());
  layers.add_costs(report);
  layers.add_map(report, R"({"weights": {"": {"weight": "nearest,4,2", "bias": "nearest,8,2"}},
                             "extrinsic": "nearest,6,3", "intrinsic": {"=fc": "nearest,11,5"}})");
  std::string places;
  for (const ReportedPlace& place : report.places) places += place.format.place + " ";
  const std::string first = kHostile;
  // The first layer has no bias.
  EXPECT_EQ(places, "weight:" + first + " output:" + first + " weight:fc bias:fc output:fc ");
  ASSERT_EQ(report.accumulators.size(), 2U);
  EXPECT_EQ(report.accumulators[0].worst_case, std::nullopt);  // its input is float
  EXPECT_EQ(report.accumulators[0].given, std::nullopt);
  // 20 products of -8 and -32 make 5120, which needs 14 bits.
  EXPECT_EQ(report.accumulators[1].worst_case, 14);
  EXPECT_EQ(report.accumulators[1].given, 11);
  EXPECT_EQ(report.cost->layers[1].input.bits, 6);
}

TEST(CountedLayers, TellCostsOfMapsOfOnePlaceToo) {
  Report report;
  report.evaluated.maps = {
      evaluated("one", "test", R"({"weights":{"=fc":{"weight":"nearest,4,2"}}})"),
      evaluated("two", "test", of_weights(8, 8))};
  CountedLayers(facts(), all_technologies().front()).add_costs(report);
  EXPECT_EQ(report.evaluated.maps[0].cost->bops, 400 * 32 * 32 + 60 * 4 * 32);
  EXPECT_EQ(chosen_map(report.evaluated)->name, "two");
}

TEST(AReport, TakesNoLibraryThatWouldEndItsElement) {
  const std::string page = report_html(small_report(), {{"/* a library */"}});
  EXPECT_TRUE(has(page, "<script>/* a library */</script>"));
  EXPECT_THROW(report_html(small_report(), {{"x = '</script>'"}}), Error);
}

TEST(ChosenMap, IsTheCheapestOnTestImages) {
  EvaluatedMaps all;
  all.maps = {evaluated("dear", "test", of_weights(8, 8)),
              evaluated("cheap", "test", of_weights(4, 6)),
              evaluated("searched", "search", of_weights(2, 2)), evaluated("float", "test", "{}")};
  EXPECT_EQ(chosen_map(all)->name, "cheap");
  all.maps.erase(all.maps.begin(), all.maps.begin() + 2);
  EXPECT_EQ(chosen_map(all), nullptr);
}

TEST(AllPlaces, AreInTheOrderOfLayersAndOfDataFlow) {
  Report report;
  report.evaluated.maps = {evaluated(
      "a", "test",
      R"({"weights":{"=a":{"weight":"fp16"},"=b":{"bias":"fp16"}},"extrinsic":{"=b":"fp16","=a":"fp16"}})")};
  EXPECT_EQ(all_places(report),
            (std::vector<std::string>{"bias:b", "output:a", "output:b", "weight:a"}));
  report.layers.resize(2);
  report.layers[0].layer = "b";
  report.layers[1].layer = "a";
  EXPECT_EQ(all_places(report),
            (std::vector<std::string>{"bias:b", "output:b", "weight:a", "output:a"}));
}

}  // namespace
}  // namespace tensorquant
