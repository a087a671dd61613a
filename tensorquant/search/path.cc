#include "tensorquant/search/path.h"

#include <cmath>
#include <optional>
#include <string>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

bool is_better(const PathStep& a, const PathStep& b) {
  const double left = a.score_added / a.cost_saved, right = b.score_added / b.cost_saved;
  return left != right ? left < right : a.cost_saved > b.cost_saved;
}

}  // namespace

std::vector<PathStep> path(std::span<const std::vector<double>> scores, const CostOfChoices& cost) {
  std::vector<std::size_t> choices(scores.size(), 0);
  double score = 0;
  for (std::size_t group = 0; group < scores.size(); ++group) {
    if (scores[group].empty() || !std::isfinite(scores[group].front())) {
      throw Error("the widest choice of group " + std::to_string(group) + " has no finite score");
    }
    score += scores[group].front();
  }
  double now = cost(choices);
  std::vector<PathStep> steps;
  for (;;) {
    std::optional<PathStep> best;
    for (std::size_t group = 0; group < scores.size(); ++group) {
      const std::size_t from = choices[group];
      for (std::size_t to = from + 1; to < scores[group].size(); ++to) {
        const double added = scores[group][to] - scores[group][from];
        if (!std::isfinite(added)) continue;
        choices[group] = to;
        const double then = cost(choices);
        if (!(then < now)) continue;
        const PathStep step = {group, from, to, added, now - then, score + added, then};
        if (!best || is_better(step, *best)) best = step;
      }
      choices[group] = from;
    }
    if (!best) return steps;
    choices[best->group] = best->to;
    score = best->score;
    now = best->cost;
    steps.push_back(*best);
  }
}

std::vector<std::size_t> choices_after(std::size_t groups, std::span<const PathStep> steps) {
  std::vector<std::size_t> choices(groups, 0);
  for (const PathStep& step : steps) choices[step.group] = step.to;
  return choices;
}

}  // namespace tensorquant
