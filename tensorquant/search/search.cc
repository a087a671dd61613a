#include "tensorquant/search/search.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>

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
  return std::isfinite(measured.kl) && (!margin || measured.loss + measured.loss_error <= *margin);
}

// The problem that measures no map twice, and where a KL that is no number is infinite.
SearchProblem with_memory(SearchProblem problem) {
  problem.measure = [measure = std::move(problem.measure),
                     known = std::map<Choices, Measurement>()](auto choices) mutable {
    const Choices key(choices.begin(), choices.end());
    const auto found = known.find(key);
    if (found != known.end()) return found->second;
    Measurement measured = measure(choices);
    if (std::isnan(measured.kl)) measured.kl = std::numeric_limits<double>::infinity();
    return known.emplace(key, measured).first->second;
  };
  return problem;
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * share);
  return text;
}

std::string why_not(const Measurement& widest, double margin) {
  if (!std::isfinite(widest.kl)) return "the widest choices give logits that are not finite";
  const std::string loss = "the widest choices lose " + percent(widest.loss) + " +- " +
                           percent(widest.loss_error) + ", together more than the margin of " +
                           percent(margin) + ": ";
  if (widest.loss >= margin) return loss + "wider ones or a larger margin would help";
  char times[32];
  std::snprintf(times, sizeof times, "%.1f",
                std::pow(widest.loss_error / (margin - widest.loss), 2));
  return loss + "about " + times + " times as many search images would do";
}

Choices with(Choices choices, std::size_t group, std::size_t choice) {
  choices[group] = choice;
  return choices;
}

// A change of one group to the next choice.
struct Move {
  std::size_t group, to;
  Measurement alone;  // the map with this change
};

// A widening, and a narrowing that pays for it, if it needs one; or a narrowing alone.
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
    if (problem_.prepare) problem_.prepare(neighbours());
    for (std::size_t group = 0; group < result_.choices.size(); ++group) {
      const std::size_t at = result_.choices[group];
      if (at > 0) add_move(group, at - 1, wider_);
      if (at + 1 < problem_.scores[group].size()) add_move(group, at + 1, narrower_);
    }
    kl_before_ = result_.measured.kl;
  }

  // The maps that measure_moves() measures.
  std::vector<Choices> neighbours() const {
    std::vector<Choices> maps;
    for (std::size_t group = 0; group < result_.choices.size(); ++group) {
      const std::size_t at = result_.choices[group];
      if (at > 0) maps.push_back(with(result_.choices, group, at - 1));
      if (at + 1 < problem_.scores[group].size()) {
        maps.push_back(with(result_.choices, group, at + 1));
      }
    }
    return maps;
  }

  void add_move(std::size_t group, std::size_t to, std::vector<Move>& moves) {
    const Choices changed = with(result_.choices, group, to);
    const Measurement alone = problem_.measure(changed);
    if (!std::isfinite(alone.kl)) return;
    moves.push_back({group, to, alone});
  }

  // The largest saving that holds, again and again. A group that did not hold is tried anew when
  // others have changed.
  void narrow_while_it_holds() {
    for (Choices before; before != result_.choices;) {
      before = result_.choices;
      std::vector<bool> open(before.size(), true);
      while (const std::optional<std::size_t> group = largest_saving(open)) {
        open[*group] =
            take_if(with(result_.choices, *group, result_.choices[*group] + 1),
                    [&](const Measurement& measured) { return holds(measured, limits_.margin); });
      }
    }
  }

  // Of the open groups that one whose next narrower choice saves most.
  std::optional<std::size_t> largest_saving(const std::vector<bool>& open) const {
    std::optional<std::size_t> best;
    double saved = 0;
    for (std::size_t group = 0; group < open.size(); ++group) {
      const std::size_t to = result_.choices[group] + 1;
      if (!open[group] || to >= problem_.scores[group].size()) continue;
      const double saving = result_.cost - problem_.cost(with(result_.choices, group, to));
      if (!(saving > saved)) continue;
      best = group;
      saved = saving;
    }
    return best;
  }

  void swap() {
    std::vector<Swap> swaps;
    for (const Move& narrow : narrower_) {
      swaps.push_back({nullptr, &narrow, narrow.alone.kl - kl_before_});
    }
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
    Choices choices = result_.choices;
    for (const Move* const move : {one.widen, one.narrow}) {
      if (move != nullptr) choices[move->group] = move->to;
    }
    return choices;
  }

  // Whether the map that a change was measured from has not changed in its group.
  bool is_open(const Move& move, bool widens) const {
    return result_.choices[move.group] == (widens ? move.to + 1 : move.to - 1);
  }

  bool fits(const Swap& one) const {
    return (one.widen == nullptr || is_open(*one.widen, true)) &&
           (one.narrow == nullptr || is_open(*one.narrow, false)) &&
           problem_.cost(after(one)) <= limits_.cost;
  }

  template <class Accepts>
  bool take_if(Choices choices, Accepts&& accepts) {
    const Measurement measured = problem_.measure(choices);
    if (!accepts(measured)) return false;
    result_.choices = std::move(choices);
    result_.cost = problem_.cost(result_.choices);
    result_.measured = measured;
    return true;
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

SearchResult search_margin(const SearchProblem& of_maps, double margin, int rounds) {
  if (std::isnan(margin)) throw Error("the margin is no number");
  const SearchProblem problem = with_memory(of_maps);
  SearchResult result;
  result.path = path(problem.scores, problem.cost);
  const std::size_t groups = problem.scores.size();
  const auto choices_at = [&](std::size_t steps) {
    return choices_after(groups, std::span(result.path).first(steps));
  };
  const auto holds_at = [&](std::size_t steps) {
    return holds(problem.measure(choices_at(steps)), margin);
  };
  if (!holds_at(0)) throw Error(why_not(problem.measure(choices_at(0)), margin));
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

SearchResult search_budget(const SearchProblem& of_maps, double budget, int rounds) {
  if (std::isnan(budget)) throw Error("the budget is no number");
  const SearchProblem problem = with_memory(of_maps);
  SearchResult result;
  result.path = path(problem.scores, problem.cost);
  const std::size_t groups = problem.scores.size();
  while (result.steps < result.path.size() && result.path[result.steps].score_added < 0) {
    ++result.steps;
  }
  result.choices = choices_after(groups, std::span(result.path).first(result.steps));
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
    if (result.choices[step.group] != step.to || !(step.score_added > 0)) continue;
    const Choices undone = with(result.choices, step.group, step.from);
    if (problem.cost(undone) <= budget) result.choices = undone;
  }
  return refined(problem, std::move(result), {.cost = budget}, rounds);
}

double images_factor(double loss_error, double margin) {
  return std::pow(2 * loss_error / margin, 2);
}

}  // namespace tensorquant
