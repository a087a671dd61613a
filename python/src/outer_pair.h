#ifndef TENSORQUANT_PYTHON_SRC_OUTER_PAIR_H_
#define TENSORQUANT_PYTHON_SRC_OUTER_PAIR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "tensorquant/quantizers/outer_sum.h"

namespace tensorquant::python {

// An OuterSum of Python: its accumulator's quantizer and `every`.
using OuterPair = std::pair<std::shared_ptr<const Quantizer>, std::int64_t>;

inline std::optional<OuterSum> outer_sum_of(const std::optional<OuterPair>& pair) {
  return pair ? std::optional(OuterSum{pair->first, pair->second}) : std::nullopt;
}
inline std::optional<OuterPair> pair_of(const std::optional<OuterSum>& outer) {
  return outer ? std::optional(OuterPair(outer->accumulator, outer->every)) : std::nullopt;
}

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_OUTER_PAIR_H_
