#ifndef TENSORQUANT_QUANTIZERS_OUTER_SUM_H_
#define TENSORQUANT_QUANTIZERS_OUTER_SUM_H_

#include <cstdint>
#include <memory>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// A second accumulator over the sums of segments: with t = 0 to begin with and B its rounding,
// t = B(t + S_x * S_w * s) for each segment's sum s. A segment is the longest run of products
// whose factors share both scales S, cut also after every `every` products of the whole sum.
struct OuterSum {
  std::shared_ptr<const Quantizer> accumulator;  // null, as "none": the tensor's type
  std::int64_t every = 0;                        // 0: only scales end a segment
};

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_OUTER_SUM_H_
