#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_LINEAR_AND_CONVOLUTION_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_LINEAR_AND_CONVOLUTION_H_

#include <ATen/core/Tensor.h>

#include "tensorquant/arithmetic/layers/operation.h"
#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"

namespace tensorquant {

// On float32 or float64 tensors on the CPU, of any strides; results are contiguous. Gradients are
// those of the float layer at the same tensors. What the float layer refuses is refused too, before
// a number is read.

at::Tensor rounded_linear(const LayerArithmetic& layer, const at::Tensor& x, const at::Tensor& w,
                          const at::Tensor& bias);

// As at::matmul of two tensors of two dimensions or more, none of which are weights.
at::Tensor rounded_matrix_product(const LayerArithmetic& layer, const at::Tensor& a,
                                  const at::Tensor& b);

// Any number of spatial dimensions, with a batch dimension or without.
at::Tensor rounded_convolution(const LayerArithmetic& layer, const at::Tensor& x,
                               const at::Tensor& w, const at::Tensor& bias,
                               const ConvolutionOperation& convolution);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_LINEAR_AND_CONVOLUTION_H_
