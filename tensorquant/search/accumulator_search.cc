#include "tensorquant/search/accumulator_search.h"

#include <cmath>
#include <utility>

namespace tensorquant {

AccumulatorWidths narrow_accumulators(std::vector<int> bits, std::span<const std::size_t> order,
                                      const MeasureAccumulators& measure, double margin) {
  const auto holds = [&](const Measurement& measured) {
    return std::isfinite(measured.kl) && measured.loss + measured.loss_error <= margin;
  };
  AccumulatorWidths found = {std::move(bits), {}, false};
  found.measured = measure(found.bits);
  found.holds = holds(found.measured);
  if (!found.holds) return found;
  for (const std::size_t layer : order) {
    while (found.bits[layer] > 1) {
      std::vector<int> narrower = found.bits;
      --narrower[layer];
      const Measurement measured = measure(narrower);
      if (!holds(measured)) break;
      found = {std::move(narrower), measured, true};
    }
  }
  return found;
}

}  // namespace tensorquant
