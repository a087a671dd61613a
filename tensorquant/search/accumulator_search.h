#ifndef TENSORQUANT_SEARCH_ACCUMULATOR_SEARCH_H_
#define TENSORQUANT_SEARCH_ACCUMULATOR_SEARCH_H_

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "tensorquant/search/search.h"

namespace tensorquant {

using MeasureAccumulators = std::function<Measurement(std::span<const int> bits)>;

struct AccumulatorWidths {
  std::vector<int> bits;
  Measurement measured;
  bool holds = false;  // the margin
};

// Accumulators of fewer bits than those given, which are enough for all sums: one layer after the
// other in the given order, a bit less as long as the loss and its standard error together are at
// most `margin`, down to one bit. What saturates loses all at once, so there are no scores: each
// candidate is measured, and the first that does not hold the margin ends its layer. Where the bits
// that are given do not hold it they stay. `order` has indices into them.
AccumulatorWidths narrow_accumulators(std::vector<int> bits, std::span<const std::size_t> order,
                                      const MeasureAccumulators& measure, double margin);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_ACCUMULATOR_SEARCH_H_
