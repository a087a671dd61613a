#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_VALUES_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_VALUES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "tensorquant/arithmetic/exact/function.h"
#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"

namespace tensorquant {

// Operations on values, of which elements and scales are not seen apart.
//
// On float32 or float64 tensors on the CPU, of any strides; results are contiguous. Gradients are
// those of the float layer at the same tensors. What the float layer refuses is refused too, before
// a number is read.

at::Tensor rounded_function(const LayerArithmetic& layer, Function function, const at::Tensor& x);

// As a + b, a - b, a * b and a / b, with their broadcasting.
at::Tensor rounded_add(const LayerArithmetic& layer, const at::Tensor& a, const at::Tensor& b);
at::Tensor rounded_subtract(const LayerArithmetic& layer, const at::Tensor& a, const at::Tensor& b);
at::Tensor rounded_multiply(const LayerArithmetic& layer, const at::Tensor& a, const at::Tensor& b);
at::Tensor rounded_divide(const LayerArithmetic& layer, const at::Tensor& a, const at::Tensor& b);
// x * factor, which is a number of x's type.
at::Tensor rounded_scale(const LayerArithmetic& layer, const at::Tensor& x, double factor);

at::Tensor rounded_softmax(const LayerArithmetic& layer, const at::Tensor& x, std::int64_t dim);
at::Tensor rounded_log_softmax(const LayerArithmetic& layer, const at::Tensor& x, std::int64_t dim);

// Over these dimensions; over all where there are none.
at::Tensor rounded_mean(const LayerArithmetic& layer, const at::Tensor& x, at::IntArrayRef dims,
                        bool keeps_dims);

// Likewise; no sum is divided.
at::Tensor rounded_sum(const LayerArithmetic& layer, const at::Tensor& x, at::IntArrayRef dims,
                       bool keeps_dims);

// x where it is positive, else x * slope.
at::Tensor rounded_leaky_relu(const LayerArithmetic& layer, const at::Tensor& x, double slope);
// The first half along the dimension times the sigmoid of the second.
at::Tensor rounded_glu(const LayerArithmetic& layer, const at::Tensor& x, std::int64_t dim);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_VALUES_H_
