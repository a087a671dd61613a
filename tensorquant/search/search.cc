#include "tensorquant/search/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using Choices = std::vector<std::size_t>;

constexpr std::size_t kLookedAtBeyond = 3;  // steps of the path
constexpr std::size_t kSwaps = 12;

// What decides whether a map may be taken.
struct Limits {
  double cost = std::numeric_limits<double>::infinity();
  std::optional<double> margin = {};
};

bool holds(const Measurement& measured, std::optional<double> margin) {
  return !margin || measured.loss + measured.loss_error <= *margin;
}

Choices with(Choices choices, std::size_t group, std::size_t choice) {
  choices[group] = choice;
  return choices;
}

// A change of one group to the next choice.
struct Move {
  std::size_t group, to;
  Measurement alone;  // the map with this change
  double saving;      // negative where it costs
};

// A widening, and a narrowing that pays for it, if it needs one.
struct Swap {
  const Move* widen;
  const Move* narrow;
  double change;  // of the KL, if both added up
};

class Refinement {
 public:
  Refinement(const SearchProblem& problem, SearchResult& result, Limits limits)
      : problem_(problem), result_(result), limits_(limits) {}

  void round() {
    measure_moves();
    if (limits_.margin) {
      narrow_while_it_holds();
      limits_.cost = result_.cost;
    }
    swap();
  }

 private:
  void measure_moves() {
    wider_.clear();
    narrower_.clear();
    for (std::size_t group = 0; group < result_.choices.size(); ++group) {
      const std::size_t at = result_.choices[group];
      if (at > 0) add_move(group, at - 1, wider_);
      if (at + 1 < problem_.scores[group].size()) add_move(group, at + 1, narrower_);
    }
    kl_before_ = result_.measured.kl;
  }

  void add_move(std::size_t group, std::size_t to, std::vector<Move>& moves) {
    const Choices changed = with(result_.choices, group, to);
    const Measurement alone = problem_.measure(changed);
    if (!std::isfinite(alone.kl)) return;
    moves.push_back({group, to, alone, result_.cost - problem_.cost(changed)});
  }

  void narrow_while_it_holds() {
    std::vector<Move> moves = narrower_;
    std::stable_sort(moves.begin(), moves.end(),
                     [](const Move& a, const Move& b) { return a.saving > b.saving; });
    for (const Move& move : moves) {
      if (move.saving > 0 && holds(move.alone, limits_.margin)) {
        take_if(with(result_.choices, move.group, move.to),
                [&](const Measurement& measured) { return holds(measured, limits_.margin); });
      }
    }
  }

  void swap() {
    std::vector<Swap> swaps;
    for (const Move& widen : wider_) {
      swaps.push_back({&widen, nullptr, widen.alone.kl - kl_before_});
      for (const Move& narrow : narrower_) {
        if (widen.group == narrow.group) continue;
        swaps.push_back({&widen, &narrow, widen.alone.kl + narrow.alone.kl - 2 * kl_before_});
      }
    }
    std::erase_if(swaps, [&](const Swap& one) { return one.change >= 0 || !fits(one); });
    std::stable_sort(swaps.begin(), swaps.end(),
                     [](const Swap& a, const Swap& b) { return a.change < b.change; });
    swaps.resize(std::min(swaps.size(), kSwaps));
    for (const Swap& one : swaps) {
      if (!fits(one)) continue;
      take_if(after(one), [&](const Measurement& measured) {
        return measured.kl < result_.measured.kl && holds(measured, limits_.margin);
      });
    }
  }

  Choices after(const Swap& one) const {
    Choices choices = with(result_.choices, one.widen->group, one.widen->to);
    return one.narrow == nullptr ? choices : with(choices, one.narrow->group, one.narrow->to);
  }

  // Whether the map that a change was measured from has not changed in its group.
  bool is_open(const Move& move, bool widens) const {
    return result_.choices[move.group] == (widens ? move.to + 1 : move.to - 1);
  }

  bool fits(const Swap& one) const {
    return is_open(*one.widen, true) && (one.narrow == nullptr || is_open(*one.narrow, false)) &&
           problem_.cost(after(one)) <= limits_.cost;
  }

  template <class Accepts>
  void take_if(Choices choices, Accepts&& accepts) {
    const Measurement measured = problem_.measure(choices);
    if (!accepts(measured)) return;
    result_.choices = std::move(choices);
    result_.cost = problem_.cost(result_.choices);
    result_.measured = measured;
  }

  const SearchProblem& problem_;
  SearchResult& result_;
  Limits limits_;
  std::vector<Move> wider_, narrower_;
  double kl_before_ = 0;
};

SearchResult refined(const SearchProblem& problem, SearchResult result, const Limits& limits,
                     int rounds) {
  result.cost = problem.cost(result.choices);
  result.measured = problem.measure(result.choices);
  for (int round = 0; round < rounds; ++round) {
    const Choices before = result.choices;
    Refinement(problem, result, limits).round();
    if (result.choices == before) break;
  }
  return result;
}

}  // namespace

SearchResult search_margin(const SearchProblem& problem, double margin, int rounds) {
  SearchResult result;
  result.path = path(problem.scores, problem.cost);
  const std::size_t groups = problem.scores.size();
  const auto choices_at = [&](std::size_t steps) {
    return choices_after(groups, std::span(result.path).first(steps));
  };
  const auto holds_at = [&](std::size_t steps) {
    return holds(problem.measure(choices_at(steps)), margin);
  };
  if (!holds_at(0)) {
    throw Error(
        "the widest choices lose more than the margin: wider ones, a larger margin or more "
        "search images would help");
  }
  std::size_t good = 0, bad = result.path.size() + 1;
  while (bad - good > 1) {
    const std::size_t middle = good + (bad - good) / 2;
    (holds_at(middle) ? good : bad) = middle;
  }
  const std::size_t last = std::min(good + kLookedAtBeyond, result.path.size());
  for (std::size_t steps = last; steps > good; --steps) {
    if (holds_at(steps)) good = steps;
  }
  result.steps = good;
  result.path_choices = result.choices = choices_at(good);
  return refined(problem, std::move(result), {.margin = margin}, rounds);
}

SearchResult search_budget(const SearchProblem& problem, double budget, int rounds) {
  SearchResult result;
  result.path = path(problem.scores, problem.cost);
  const std::size_t groups = problem.scores.size();
  result.choices.assign(groups, 0);
  while (problem.cost(result.choices) > budget) {
    if (result.steps == result.path.size()) {
      throw Error("no map of the path costs as little as the budget: the cheapest costs " +
                  std::to_string(problem.cost(result.choices)) + ", the budget is " +
                  std::to_string(budget));
    }
    result.choices = choices_after(groups, std::span(result.path).first(++result.steps));
  }
  result.path_choices = result.choices;
  for (std::size_t i = result.steps; i-- > 0;) {
    const PathStep& step = result.path[i];
    if (result.choices[step.group] != step.to) continue;
    const Choices undone = with(result.choices, step.group, step.from);
    if (problem.cost(undone) <= budget) result.choices = undone;
  }
  return refined(problem, std::move(result), {.cost = budget}, rounds);
}

double images_factor(double loss_error, double margin) {
  return std::pow(2 * loss_error / margin, 2);
}

}  // namespace tensorquant
