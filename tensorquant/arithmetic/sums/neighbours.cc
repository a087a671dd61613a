#include "tensorquant/arithmetic/sums/neighbours.h"

namespace tensorquant {

bool are_neighbours(std::span<const std::int64_t> places) {
  bool are = true;
  for (std::size_t j = 0; j < places.size(); ++j) {
    are &= places[j] == places[0] + static_cast<std::int64_t>(j);
  }
  return are;
}

std::vector<Neighbours> runs_of_neighbours(std::span<const std::int64_t> places, std::size_t most) {
  std::vector<Neighbours> runs;
  for (std::size_t j = 0; j < places.size(); ++j) {
    const bool goes_on = j > 0 && places[j] == places[j - 1] + 1 && runs.back().count < most;
    if (!goes_on) runs.push_back({j, 0, places[j]});
    ++runs.back().count;
  }
  return runs;
}

}  // namespace tensorquant
