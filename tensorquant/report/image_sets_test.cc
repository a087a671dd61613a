#include "tensorquant/report/image_sets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace tensorquant {
namespace {

EvaluatedMap evaluated(const std::string& name, const std::string& purpose, const std::string& data,
                       std::size_t correct, std::size_t lost, std::size_t won,
                       std::vector<PlaceFormat> places, double bops) {
  EvaluatedMap map;
  map.name = name;
  map.purpose = purpose;
  map.data = data;
  map.metrics.images = 100;
  map.metrics.correct = correct;
  map.metrics.lost = lost;
  map.metrics.won = won;
  map.places = std::move(places);
  if (bops > 0) {
    map.cost.emplace();
    map.cost->bops = bops;
  }
  return map;
}

std::vector<PlaceFormat> both(int a, int b) {
  return {{"weight:a", "nearest," + std::to_string(a) + ",2", a},
          {"weight:b", "nearest," + std::to_string(b) + ",2", b}};
}

TEST(ImageSets, AreByImagesTestFirstAndScoreLast) {
  const std::vector<EvaluatedMap> maps = {evaluated("1", "score", "aa", 90, 4, 2, {}, 0),
                                          evaluated("2", "", "bb", 50, 0, 0, {}, 0),
                                          evaluated("3", "search", "cc", 80, 0, 5, {}, 0),
                                          evaluated("4", "test", "dd", 70, 10, 0, {}, 0),
                                          evaluated("5", "score", "aa", 88, 6, 2, {}, 0)};
  const std::vector<ImageSet> sets = image_sets(maps);
  ASSERT_EQ(sets.size(), 4U);
  EXPECT_EQ(sets[0].title(), "100 test images");
  EXPECT_EQ(sets[1].title(), "100 search images");
  EXPECT_EQ(sets[2].title(), "100 images");
  EXPECT_EQ(sets[3].title(), "100 score images");
  // Right in float: those right now, less those won, and those lost.
  EXPECT_EQ(sets[0].float_accuracy, 0.8);
  EXPECT_EQ(sets[1].float_accuracy, 0.75);
  EXPECT_EQ(sets[3].float_accuracy, 0.92);
  EXPECT_EQ(sets[3].maps.size(), 2U);
}

TEST(PlaceScores, AreOfMapsOfOnePlace) {
  const EvaluatedMap one = evaluated("1", "score", "a", 90, 0, 0, {{"weight:a", "fp16", 16}}, 0);
  const EvaluatedMap two = evaluated("2", "score", "a", 90, 0, 0, both(4, 4), 0);
  const std::vector<PlaceScore> scores = place_scores({"score", "a", 100, 0.9, {&two, &one}});
  ASSERT_EQ(scores.size(), 1U);
  EXPECT_EQ(scores[0].place, "weight:a");
  EXPECT_EQ(scores[0].quantizer, "fp16");
  EXPECT_EQ(scores[0].bits, 16);
}

TEST(AccuracyPoints, TheFrontIsWhatNothingAsCheapBeats) {
  const EvaluatedMap dear = evaluated("dear", "test", "a", 90, 2, 2, both(8, 8), 64);
  const EvaluatedMap worse = evaluated("worse", "test", "a", 85, 7, 2, both(8, 4), 48);
  const EvaluatedMap mixed = evaluated("mixed", "test", "a", 88, 4, 2, both(4, 8), 32);
  const EvaluatedMap same = evaluated("same", "test", "a", 88, 4, 2, both(5, 6), 40);
  const EvaluatedMap tied = evaluated("tied", "test", "a", 70, 20, 0, both(3, 6), 32);
  const EvaluatedMap no_cost = evaluated("no cost", "test", "a", 99, 0, 9, both(6, 6), 0);
  const EvaluatedMap single =
      evaluated("single", "test", "a", 99, 0, 9, {{"weight:a", "nearest,4,2", 4}}, 16);
  const std::vector<AccuracyPoint> points = accuracy_points(
      {"test", "a", 100, 0.9, {&dear, &worse, &mixed, &same, &tied, &no_cost, &single}});
  ASSERT_EQ(points.size(), 5U);
  std::string names, front;
  for (const AccuracyPoint& point : points) {
    names += point.name + " ";
    if (point.on_front) front += point.name + " ";
  }
  EXPECT_EQ(names, "mixed tied same worse dear ");
  EXPECT_EQ(front, "mixed dear ");
  EXPECT_EQ(points[0].kind, "on the front");
  EXPECT_EQ(points[1].kind, "other");
  EXPECT_EQ(points[4].kind, "uniform");
  EXPECT_EQ(points[4].uniform_bits, 8);
  // Of 4 lost and 2 won: (4 - 2) / 100, and twice sqrt(6 - 2^2 / 100) / 100.
  EXPECT_DOUBLE_EQ(points[0].loss, 0.02);
  EXPECT_DOUBLE_EQ(points[0].error, 2 * std::sqrt(5.96) / 100);
}

}  // namespace
}  // namespace tensorquant
