#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_NORMALIZATION_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_NORMALIZATION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"

namespace tensorquant {

// On float32 or float64 tensors on the CPU, of any strides; results are contiguous. Gradients are
// those of the float layer at the same tensors. What the float layer refuses is refused too, before
// a number is read. gamma and beta may be undefined.

// With the statistics of the batch where mean and variance are undefined.
at::Tensor rounded_batch_norm(const LayerArithmetic& layer, const at::Tensor& x,
                              const at::Tensor& mean, const at::Tensor& variance,
                              const at::Tensor& gamma, const at::Tensor& beta, double epsilon);

// Over the last dimensions, which have these sizes.
at::Tensor rounded_layer_norm(const LayerArithmetic& layer, const at::Tensor& x,
                              at::IntArrayRef sizes, const at::Tensor& gamma,
                              const at::Tensor& beta, double epsilon);

// Likewise, x / sqrt(mean of x x + epsilon) * gamma.
at::Tensor rounded_rms_norm(const LayerArithmetic& layer, const at::Tensor& x,
                            at::IntArrayRef sizes, const at::Tensor& gamma, double epsilon);

at::Tensor rounded_group_norm(const LayerArithmetic& layer, const at::Tensor& x,
                              std::int64_t groups, const at::Tensor& gamma, const at::Tensor& beta,
                              double epsilon);

// With the statistics of each instance's channels.
at::Tensor rounded_instance_norm(const LayerArithmetic& layer, const at::Tensor& x,
                                 const at::Tensor& gamma, const at::Tensor& beta, double epsilon);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_NORMALIZATION_H_
