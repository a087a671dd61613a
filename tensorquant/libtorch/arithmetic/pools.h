#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_POOLS_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_POOLS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "tensorquant/arithmetic/layers/operation.h"
#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"

namespace tensorquant {

// On float32 or float64 tensors on the CPU, of any strides; results are contiguous. Gradients are
// those of the float layer at the same tensors. What the float layer refuses is refused too, before
// a number is read.

at::Tensor rounded_average_pool(const LayerArithmetic& layer, const at::Tensor& x,
                                const AveragePoolOperation& pool);
// No size stands for the input's.
at::Tensor rounded_adaptive_average_pool(
    const LayerArithmetic& layer, const at::Tensor& x,
    const std::vector<std::optional<std::int64_t>>& output_size);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_POOLS_H_
