#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_ADD_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_ADD_H_

#include <ATen/core/Tensor.h>

#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"

namespace tensorquant {

// On float32 or float64 tensors on the CPU, of any strides; results are contiguous. Gradients are
// those of the float layer at the same tensors. What the float layer refuses is refused too, before
// a number is read.

// As a + b, with its broadcasting.
at::Tensor rounded_add(const LayerArithmetic& layer, const at::Tensor& a, const at::Tensor& b);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_ADD_H_
