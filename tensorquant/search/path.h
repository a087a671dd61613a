#ifndef TENSORQUANT_SEARCH_PATH_H_
#define TENSORQUANT_SEARCH_PATH_H_

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace tensorquant {

// One step to a cheaper map: a group of places that share a width goes to a narrower choice.
struct PathStep {
  std::size_t group, from, to;  // choices by number, 0 is the widest
  double score_added, cost_saved;
  double score, cost;  // of the whole map after the step
};

// What the map costs in which each group has that choice.
using CostOfChoices = std::function<double(std::span<const std::size_t> choices)>;

// From the widest choices to ever cheaper maps. Each step takes, of all narrower choices of all
// groups, the one with the least score added for the cost saved; ties go to the larger saving, then
// to the first group. Choices that save nothing, and those with a score that is not finite, are
// never taken. Where costs add up these are the corners of the convex hull of all maps: none that
// costs as little has a lower score.
//
// scores[group][choice]: what the choice costs in accuracy. Throws an Error where the widest choice
// of a group has no finite score.
std::vector<PathStep> path(std::span<const std::vector<double>> scores, const CostOfChoices& cost);

// The choices after the first `steps` of them.
std::vector<std::size_t> choices_after(std::size_t groups, std::span<const PathStep> steps);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_PATH_H_
