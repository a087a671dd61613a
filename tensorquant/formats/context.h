#ifndef TENSORQUANT_FORMATS_CONTEXT_H_
#define TENSORQUANT_FORMATS_CONTEXT_H_

#include <cstdint>
#include <optional>

#include "tensorquant/base/random.h"
#include "tensorquant/formats/layout.h"

namespace tensorquant {

// What a call tells a quantizer beside the numbers: where random rounding takes its numbers from,
// and, where the caller knows it, what the tensor's axes mean.
struct Context {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;  // tells the tensors of a network apart: stream_of(layer, role)
  std::uint32_t step = 0;    // tells the forward calls of a training run apart
  std::optional<Layout> layout = {};

  RandomStream random() const { return {seed, stream, step}; }
};

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_CONTEXT_H_
