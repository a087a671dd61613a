#include "tensorquant/search/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using Choices = std::vector<std::size_t>;

// Additive scores and costs, a KL that is the score and a loss that is a tenth of it.
class Model {
 public:
  std::vector<std::vector<double>> scores = {{0, 1, 4}, {0, 2, 9}, {0, 1, 2}};
  std::vector<std::vector<double>> costs = {{8, 5, 3}, {8, 6, 2}, {4, 3, 2}};
  std::map<Choices, Measurement> told = {};  // in place of what adds up
  std::map<Choices, int> measured = {};

  double sum(const std::vector<std::vector<double>>& table, std::span<const std::size_t> choices) {
    double total = 0;
    for (std::size_t i = 0; i < choices.size(); ++i) total += table[i][choices[i]];
    return total;
  }
  SearchProblem problem() {
    return {scores, [this](auto choices) { return sum(costs, choices); },
            [this](auto choices) {
              const Choices key(choices.begin(), choices.end());
              ++measured[key];
              if (const auto found = told.find(key); found != told.end()) return found->second;
              const double score = sum(scores, choices);
              return Measurement{score, score / 10, 0.05};
            }};
  }
};

TEST(SearchMargin, TakesTheLastStepWhoseLossAndErrorHoldIt) {
  Model model;
  for (const double margin : {0.06, 0.16, 0.3, 0.5, 2.0}) {
    const SearchResult result = search_margin(model.problem(), margin, 0);
    EXPECT_LE(result.measured.loss + result.measured.loss_error, margin);
    EXPECT_EQ(result.choices, result.path_choices);
    if (result.steps == result.path.size()) continue;
    const Choices next = choices_after(3, std::span(result.path).first(result.steps + 1));
    const Measurement beyond = model.problem().measure(next);
    EXPECT_GT(beyond.loss + beyond.loss_error, margin);
  }
  EXPECT_THROW(search_margin(model.problem(), 0.04, 0), Error);
}

TEST(SearchMargin, LooksThreeStepsBeyondALossThatIsNotMonotone) {
  Model model;
  const std::vector<PathStep> steps = path(model.scores, model.problem().cost);
  ASSERT_GE(steps.size(), 4U);
  for (std::size_t i = 1; i <= steps.size(); ++i) {
    const bool lucky = i == 3;
    model.told[choices_after(3, std::span(steps).first(i))] = {1, lucky ? 0.0 : 0.9, 0.05};
  }
  EXPECT_EQ(search_margin(model.problem(), 0.1, 0).steps, 3U);
}

TEST(SearchMargin, RefinesByWhatEvaluationsSay) {
  Model model;
  const SearchResult rough = search_margin(model.problem(), 0.3, 0);
  // Of all narrower neighbours let the last group's be free of loss.
  Choices lucky = rough.choices;
  ASSERT_LT(lucky[2] + 1, 3U);
  ++lucky[2];
  model.told[lucky] = {0.1, 0, 0.01};
  const SearchResult result = search_margin(model.problem(), 0.3, 1);
  EXPECT_EQ(result.path_choices, rough.choices);
  EXPECT_LT(result.cost, rough.cost);
  EXPECT_LE(result.measured.loss + result.measured.loss_error, 0.3);
}

TEST(SearchBudget, FillsUpWhatThePathLeaves) {
  Model model;
  for (double budget = 7; budget <= 20; ++budget) {
    const SearchResult result = search_budget(model.problem(), budget, 0);
    EXPECT_LE(result.cost, budget);
    for (std::size_t group = 0; group < 3; ++group) {
      for (const PathStep& step : result.path) {
        if (step.group != group || step.to != result.choices[group]) continue;
        Choices wider = result.choices;
        wider[group] = step.from;
        EXPECT_GT(model.problem().cost(wider), budget) << "a step that could be undone";
      }
    }
  }
  EXPECT_THROW(search_budget(model.problem(), 6.9, 0), Error);
}

TEST(SearchBudget, SwapsWhereTheKlFallsAndTheCostStays) {
  Model model;
  const SearchResult rough = search_budget(model.problem(), 14, 0);
  const SearchResult result = search_budget(model.problem(), 14, 3);
  EXPECT_LE(result.cost, 14);
  EXPECT_LE(result.measured.kl, rough.measured.kl);
  // The best of all 27 maps.
  double best = 1e9;
  for (std::size_t i = 0; i < 27; ++i) {
    const Choices choices = {i % 3, i / 3 % 3, i / 9};
    if (model.problem().cost(choices) <= 14)
      best = std::min(best, model.sum(model.scores, choices));
  }
  EXPECT_EQ(result.measured.kl, best);
}

TEST(SearchMargin, NarrowsUntilNothingHoldsWithinARound) {
  // The second group may be narrowed where the first is at its narrowest, but not both that far.
  Model model;
  model.scores = {{0, 100, 200, 300}, {0, 50, 60, 70}};
  model.costs = {{8, 6, 4, 2}, {8, 6, 4, 2}};
  const auto told = [&](std::size_t a, std::size_t b, double loss) {
    model.told[{a, b}] = {0.1 * static_cast<double>(a + b), loss, 0};
  };
  for (std::size_t a = 0; a < 4; ++a) {
    for (std::size_t b = 0; b < 4; ++b) told(a, b, b > 0 && a < 3 ? 0.9 : 0);
  }
  // So no step of the path holds, which starts with the second group.
  told(3, 3, 0.9);
  const SearchResult result = search_margin(model.problem(), 0.1, 1);
  EXPECT_EQ(result.path_choices, (Choices{0, 0}));
  EXPECT_EQ(result.choices, (Choices{3, 2}));  // the second group anew after the first
}

TEST(SearchMargin, NeverTakesAMapWhoseKlIsNotFinite) {
  Model model;
  const Choices last = choices_after(3, path(model.scores, model.problem().cost));
  const double inf = std::numeric_limits<double>::infinity();
  for (const double kl : {inf, std::numeric_limits<double>::quiet_NaN()}) {
    model.told[last] = {kl, 0, 0};
    EXPECT_NE(search_margin(model.problem(), 100, 1).choices, last);
  }
}

TEST(SearchMargin, TellsWhatIsLostAndHowManyImagesWouldDo) {
  const auto error_with = [](const Measurement& widest) -> std::string {
    Model model;
    model.told[{0, 0, 0}] = widest;
    try {
      search_margin(model.problem(), 0.02, 0);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  // An error of 2 % must become 1 %: 4 times the images.
  EXPECT_EQ(error_with({0, 0.01, 0.02}),
            "the widest choices lose 1.00 % +- 2.00 %, together more than the margin of 2.00 %: "
            "about 4.0 times as many search images would do");
  EXPECT_EQ(error_with({0, 0.03, 0.001}),
            "the widest choices lose 3.00 % +- 0.10 %, together more than the margin of 2.00 %: "
            "wider ones or a larger margin would help");
  EXPECT_NE(error_with({std::numeric_limits<double>::infinity(), 0, 0}).find("not finite"),
            std::string::npos);
}

TEST(SearchBudget, KeepsStepsThatLowerTheScoreWhateverFits) {
  Model model;
  model.scores = {{0, -1, 4}, {0, 2, 9}, {0, -2, -3}};
  const SearchResult all = search_budget(model.problem(), 100, 0);
  EXPECT_EQ(all.choices, (Choices{1, 0, 2}));  // the least score of all 27 maps
  const SearchResult some = search_budget(model.problem(), 13, 0);
  EXPECT_EQ(some.choices[2], 2U);
}

TEST(SearchBudget, RefinesByNarrowingAloneWhereTheKlFalls) {
  Model model;
  model.told[{0, 0, 1}] = {-1, 0, 0};
  EXPECT_EQ(search_budget(model.problem(), 100, 0).choices, (Choices{0, 0, 0}));
  EXPECT_EQ(search_budget(model.problem(), 100, 1).choices, (Choices{0, 0, 1}));
}

TEST(Search, RefusesLimitsThatAreNoNumbers) {
  Model model;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(search_budget(model.problem(), nan, 0), Error);
  EXPECT_THROW(search_margin(model.problem(), nan, 0), Error);
  EXPECT_TRUE(model.measured.empty());
}

TEST(Search, MeasuresNoMapTwice) {
  Model margin, budget;
  search_margin(margin.problem(), 0.3, 3);
  search_budget(budget.problem(), 12, 3);
  for (const Model* const model : {&margin, &budget}) {
    for (const auto& [choices, times] : model->measured) EXPECT_EQ(times, 1);
  }
}

TEST(Search, AsksForTheSameMapsEachTime) {
  Model one, two;
  search_margin(one.problem(), 0.3, 2);
  search_margin(two.problem(), 0.3, 2);
  EXPECT_EQ(one.measured, two.measured);
}

TEST(ImagesFactor, GrowsWithTheSquareOfTheError) {
  EXPECT_EQ(images_factor(0.01, 0.01), 4);
  EXPECT_EQ(images_factor(0.005, 0.01), 1);
}

}  // namespace
}  // namespace tensorquant
