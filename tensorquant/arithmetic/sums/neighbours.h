#ifndef TENSORQUANT_ARITHMETIC_SUMS_NEIGHBOURS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_NEIGHBOURS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace tensorquant {

// Whether places[j] = places[0] + j.
bool are_neighbours(std::span<const std::int64_t> places);

// Places that are neighbours: those from `first` on, the first of which is `place`.
struct Neighbours {
  std::size_t first, count;
  std::int64_t place;
};

// All places as the longest runs of neighbours, of no more than `most`.
std::vector<Neighbours> runs_of_neighbours(
    std::span<const std::int64_t> places,
    std::size_t most = std::numeric_limits<std::size_t>::max());

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_NEIGHBOURS_H_
