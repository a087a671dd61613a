#ifndef TENSORQUANT_KERNELS_FIXED_POINT_H_
#define TENSORQUANT_KERNELS_FIXED_POINT_H_

#include <span>

#include "tensorquant/formats/context.h"
#include "tensorquant/formats/fixed_point.h"

namespace tensorquant {

// out = quantize_reference(format, in), bit for bit. in and out have one size; they may be the same
// memory.
void quantize(const FixedPoint& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const FixedPoint& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_FIXED_POINT_H_
