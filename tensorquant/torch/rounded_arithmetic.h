#ifndef TENSORQUANT_TORCH_ROUNDED_ARITHMETIC_H_
#define TENSORQUANT_TORCH_ROUNDED_ARITHMETIC_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/arithmetic/layers/operation.h"

namespace tensorquant {

// How one forward call of a layer rounds.
struct LayerArithmetic {
  Arithmetic arithmetic;
  ArithmeticContext context;
  bool clips_gradient = false;    // dy = 0 where the last sum lies outside the accumulator's range
  RangeReport* report = nullptr;  // added to
};

// How torch::nn's class Impl computes with rounded arithmetic. Specialise it with a static function
// call(Impl&, const LayerArithmetic&, arguments of forward()...) that returns what forward()
// returns. A class without one is refused by apply() where an intrinsic map hits it. It is for that
// very class: one derived from it may compute something else.
template <class Impl>
struct RoundedForward {};

// The layers' arithmetic on tensors: float32 or float64 on the CPU, of any strides; results are
// contiguous. Gradients are those of the float layer at the same tensors. What the float layer
// refuses they refuse too, before a number is read.

at::Tensor rounded_linear(const LayerArithmetic& layer, const at::Tensor& x, const at::Tensor& w,
                          const at::Tensor& bias);

// Any number of spatial dimensions, with a batch dimension or without.
at::Tensor rounded_convolution(const LayerArithmetic& layer, const at::Tensor& x,
                               const at::Tensor& w, const at::Tensor& bias,
                               const ConvolutionOperation& convolution);

at::Tensor rounded_average_pool(const LayerArithmetic& layer, const at::Tensor& x,
                                const AveragePoolOperation& pool);
// No size stands for the input's.
at::Tensor rounded_adaptive_average_pool(
    const LayerArithmetic& layer, const at::Tensor& x,
    const std::vector<std::optional<std::int64_t>>& output_size);

// With the statistics of the batch where mean and variance are undefined.
at::Tensor rounded_batch_norm(const LayerArithmetic& layer, const at::Tensor& x,
                              const at::Tensor& mean, const at::Tensor& variance,
                              const at::Tensor& gamma, const at::Tensor& beta, double epsilon);

// As a + b, with its broadcasting.
at::Tensor rounded_add(const LayerArithmetic& layer, const at::Tensor& a, const at::Tensor& b);

}  // namespace tensorquant

#endif  // TENSORQUANT_TORCH_ROUNDED_ARITHMETIC_H_
