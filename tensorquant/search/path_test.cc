#include "tensorquant/search/path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using Table = std::vector<std::vector<double>>;

double additive(const Table& costs, std::span<const std::size_t> choices) {
  double sum = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) sum += costs[i][choices[i]];
  return sum;
}

// Whole numbers, so that sums are exact; costs fall from choice to choice.
Table random_table(std::mt19937& random, std::size_t groups, std::size_t choices, bool falling) {
  Table table(groups);
  for (std::vector<double>& row : table) {
    double level = falling ? 1000 : 0;
    for (std::size_t i = 0; i < choices; ++i) {
      level += (falling ? -1.0 : 1.0) * static_cast<double>(1 + random() % 100);
      row.push_back(level);
    }
  }
  return table;
}

// f(choices) for every map.
template <class F>
void for_all_maps(const Table& table, F&& f) {
  std::vector<std::size_t> choices(table.size(), 0);
  for (;;) {
    f(choices);
    std::size_t i = 0;
    while (i < table.size() && ++choices[i] == table[i].size()) choices[i++] = 0;
    if (i == table.size()) return;
  }
}

TEST(Path, NoMapThatCostsAsLittleHasALowerScore) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 100; ++trial) {
    const Table scores = random_table(random, 4, 3, false);
    const Table costs = random_table(random, 4, 3, true);
    const auto steps = path(scores, [&](auto choices) { return additive(costs, choices); });
    ASSERT_FALSE(steps.empty());
    for (const PathStep& step : steps) {
      for_all_maps(costs, [&](const std::vector<std::size_t>& choices) {
        if (additive(costs, choices) > step.cost) return;
        EXPECT_GE(additive(scores, choices), step.score);
      });
    }
  }
}

TEST(Path, StepsAreNestedAndAddUpToTheMapsTheyLeadTo) {
  std::mt19937 random(2);
  const Table scores = random_table(random, 5, 4, false);
  const Table widths = random_table(random, 6, 4, true);
  // Products of neighbours' widths, as those of weights and inputs.
  const CostOfChoices cost = [&](std::span<const std::size_t> choices) {
    double sum = 0;
    for (std::size_t i = 0; i + 1 < choices.size(); ++i)
      sum += widths[i][choices[i]] * widths[i + 1][choices[i + 1]];
    return sum;
  };
  const auto steps = path(scores, cost);
  std::vector<std::size_t> choices(5, 0);
  double score = additive(scores, choices), now = cost(choices);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].from, choices[steps[i].group]);
    EXPECT_GT(steps[i].to, steps[i].from);
    choices[steps[i].group] = steps[i].to;
    EXPECT_EQ(choices_after(5, std::span(steps).first(i + 1)), choices);
    score += steps[i].score_added;
    now -= steps[i].cost_saved;
    EXPECT_EQ(score, steps[i].score);
    EXPECT_EQ(now, steps[i].cost);
    EXPECT_EQ(additive(scores, choices), score);
    EXPECT_EQ(cost(choices), now);
  }
  EXPECT_EQ(choices, std::vector<std::size_t>(5, 3));
}

TEST(Path, OfEqualSlopesTakesTheLargerSavingThenTheFirstGroup) {
  const Table scores = {{0, 1}, {0, 2}, {0, 2}}, costs = {{9, 8}, {9, 7}, {9, 7}};
  const auto steps = path(scores, [&](auto choices) { return additive(costs, choices); });
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_EQ(steps[0].group, 1U);
  EXPECT_EQ(steps[1].group, 2U);
  EXPECT_EQ(steps[2].group, 0U);
}

TEST(Path, TakesWhatLowersTheScoreFirstAndNeverWhatSavesNothingOrLosesAll) {
  const double inf = std::numeric_limits<double>::infinity();
  const Table scores = {{0, 0.5, inf}, {1, -1, 0}, {0, -9, 0}};
  const Table costs = {{9, 8, 0}, {9, 8, 7}, {5, 5, 6}};
  const auto steps = path(scores, [&](auto choices) { return additive(costs, choices); });
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_EQ(steps[0].group, 1U);
  EXPECT_EQ(steps[0].to, 1U);
  EXPECT_EQ(steps[0].score, -1);
  EXPECT_EQ(steps[1].group, 0U);
  EXPECT_EQ(steps[2].to, 2U);
  EXPECT_THROW(path(Table{{inf, 0}}, [](auto) { return 0.0; }), Error);
}

}  // namespace
}  // namespace tensorquant
