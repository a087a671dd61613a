#include "tensorquant/search/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

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
