#include "tensorquant/search/front.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tensorquant {
namespace {

using Numbers = std::vector<std::size_t>;

TEST(TheFront, IsWhatNoOtherOneBeats) {
  EXPECT_EQ(front({}), Numbers());
  const std::vector<CostAndAccuracy> maps = {{64, 0.90}, {48, 0.85}, {32, 0.88}, {40, 0.88},
                                             {32, 0.70}, {64, 0.90}, {80, 0.90}, {32, 0.88}};
  EXPECT_EQ(front(maps), (Numbers{2, 0}));
}

// By the definition alone: each against all others.
bool is_beaten(const std::vector<CostAndAccuracy>& maps, std::size_t i) {
  for (std::size_t j = 0; j < maps.size(); ++j) {
    const bool is_no_worse = maps[j].cost <= maps[i].cost && maps[j].accuracy >= maps[i].accuracy;
    const bool is_equal = maps[j].cost == maps[i].cost && maps[j].accuracy == maps[i].accuracy;
    if (is_no_worse && (!is_equal || j < i)) return true;
  }
  return false;
}

TEST(TheFront, IsThatOfEachAgainstAllOthers) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<CostAndAccuracy> maps(random() % 12);
    for (CostAndAccuracy& map : maps) {  // with many ties
      map = {static_cast<double>(random() % 6), static_cast<double>(random() % 6)};
    }
    std::size_t unbeaten = 0;
    for (std::size_t i = 0; i < maps.size(); ++i) unbeaten += !is_beaten(maps, i);
    const Numbers found = front(maps);
    EXPECT_EQ(found.size(), unbeaten);
    for (std::size_t k = 0; k < found.size(); ++k) {
      EXPECT_FALSE(is_beaten(maps, found[k]));
      if (k == 0) continue;
      EXPECT_LT(maps[found[k - 1]].cost, maps[found[k]].cost);
      EXPECT_LT(maps[found[k - 1]].accuracy, maps[found[k]].accuracy);
    }
  }
}

}  // namespace
}  // namespace tensorquant
