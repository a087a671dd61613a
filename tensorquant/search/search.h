#ifndef TENSORQUANT_SEARCH_SEARCH_H_
#define TENSORQUANT_SEARCH_SEARCH_H_

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "tensorquant/search/path.h"

namespace tensorquant {

// What an evaluation of a map on the search images says.
struct Measurement {
  double kl = 0;
  double loss = 0, loss_error = 0;  // shares of the images; see LogitMetrics
};
using MeasureChoices = std::function<Measurement(std::span<const std::size_t> choices)>;

// Told of maps that will all be measured next: whoever can measure some at once may do so now.
using PrepareChoices = std::function<void(const std::vector<std::vector<std::size_t>>& soon)>;

// Groups of places, with scores[group][choice], the widest choice first, what a whole map costs,
// and how good it is in truth. Choices are measured once.
struct SearchProblem {
  std::vector<std::vector<double>> scores;
  CostOfChoices cost;
  MeasureChoices measure;
  PrepareChoices prepare = {};
};

struct SearchResult {
  std::vector<PathStep> path;
  std::size_t steps = 0;                  // taken of the path
  std::vector<std::size_t> path_choices;  // the map there
  std::vector<std::size_t> choices;       // the map in the end
  double cost = 0;
  Measurement measured;
};

// The cheapest map found whose loss and its standard error together are at most `margin`, a share
// of the images.
//
// Bisects the path for the last step that holds the margin, and looks at the next three, since loss
// is not monotone. Then `rounds` times: measures the map with each group a choice wider and a
// choice narrower; takes narrower choices, the largest saving first, until none is left that holds
// the margin; then the 12 best swaps, or single changes, by the sum of both changes of KL, none
// dearer, and keeps each that lowers the KL. A map whose KL is not finite holds no margin. Throws
// an Error where the widest choices do not hold it.
SearchResult search_margin(const SearchProblem& problem, double margin, int rounds);

// The best map found that costs at most `budget`: the first one on the path that does, behind the
// steps at its begin that lower the score, with those steps undone, the last first, that add to the
// score and still fit; then the same rounds with the KL as the only judge.
// Throws an Error where the narrowest map of the path costs more.
SearchResult search_budget(const SearchProblem& problem, double budget, int rounds);

// How many times as many images would make the standard error half the margin.
double images_factor(double loss_error, double margin);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_SEARCH_H_
