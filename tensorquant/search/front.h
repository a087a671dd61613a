#ifndef TENSORQUANT_SEARCH_FRONT_H_
#define TENSORQUANT_SEARCH_FRONT_H_

#include <cstddef>
#include <span>
#include <vector>

namespace tensorquant {

// Of one map among others, measured on the same images.
struct CostAndAccuracy {
  double cost, accuracy;
};

// Cheaper, or as cheap and more accurate.
bool comes_before(const CostAndAccuracy& a, const CostAndAccuracy& b);

// The numbers of those that no other one beats, which is as accurate and costs less, or is more
// accurate and costs as little; of equal ones the first. The cheapest comes first, and accuracy
// rises from each to the next.
std::vector<std::size_t> front(std::span<const CostAndAccuracy> maps);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_FRONT_H_
