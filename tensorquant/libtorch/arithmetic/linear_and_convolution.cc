#include "tensorquant/libtorch/arithmetic/linear_and_convolution.h"

#include <ATen/ATen.h>

#include <cstddef>

#include "tensorquant/libtorch/arithmetic/float_gradient.h"
#include "tensorquant/libtorch/arithmetic/operands.h"

namespace tensorquant {
namespace {

using namespace detail;

at::Tensor float_convolution(const ConvolutionOperation& o, const at::Tensor& x,
                             const at::Tensor& w, const at::Tensor& bias) {
  const std::size_t dimensions = o.stride.size();
  at::Tensor padded = x;
  Sizes padding = o.padding_begin;
  if (o.padding_begin != o.padding_end) {
    Sizes both;  // from the last dimension on
    for (std::size_t d = dimensions; d-- > 0;) {
      both.insert(both.end(), {o.padding_begin[d], o.padding_end[d]});
    }
    padded = at::constant_pad_nd(x, both);
    padding.assign(dimensions, 0);
  }
  return at::convolution(padded, w, bias, o.stride, padding, o.dilation, o.is_transposed,
                         o.is_transposed ? o.output_padding : Sizes(dimensions, 0), o.groups);
}

// Versions of libtorch differ where no output is left.
bool float_layer_refuses(const ConvolutionOperation& o, const at::Tensor& x, const at::Tensor& w,
                         const at::Tensor& bias) {
  const at::NoGradGuard no_grad;
  try {
    float_convolution(o, x, w, bias);
    return false;
  } catch (const c10::Error&) {
    return true;
  }
}

}  // namespace

at::Tensor rounded_linear(const LayerArithmetic& layer, const at::Tensor& x, const at::Tensor& w,
                          const at::Tensor& bias) {
  return with_gradient(run_on(layer, LinearOperation{}, {x, w, bias}, report_for(layer, x)), x, w,
                       bias, [](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
                         return at::linear(a, b, c);
                       });
}

at::Tensor rounded_matrix_product(const LayerArithmetic& layer, const at::Tensor& a,
                                  const at::Tensor& b) {
  LayerArithmetic of_data = layer;
  of_data.arithmetic.weight_min_exponent.reset();
  return with_gradient(
      run_on(of_data, MatrixProductOperation{}, {a, b}, report_for(layer, a)), a, b, {},
      [](const at::Tensor& x, const at::Tensor& y, const at::Tensor&) { return at::matmul(x, y); });
}

at::Tensor rounded_convolution(const LayerArithmetic& layer, const at::Tensor& x,
                               const at::Tensor& w, const at::Tensor& bias,
                               const ConvolutionOperation& convolution) {
  require(w.dim() >= 3, "expected weights of 3 or more dimensions, found " + shape_of(w));
  if (x.dim() == w.dim() - 1) {  // no batch dimension
    return rounded_convolution(layer, x.unsqueeze(0), w, bias, convolution).squeeze(0);
  }
  require(x.dim() == w.dim(),
          "expected an input of " + std::to_string(w.dim()) + " dimensions, found " + shape_of(x));
  require(x.numel() > 0 || x.size(0) == 0 || x.size(1) == 0,
          "expected an input of which at most batch or channels are empty, found " + shape_of(x));
  ConvolutionOperation operation = convolution;
  if (operation.output_padding.size() == 1) {  // stands for all dimensions, as in libtorch
    operation.output_padding.assign(operation.stride.size(), operation.output_padding[0]);
  }
  const RoundedResult result = run_on(layer, operation, {x, w, bias}, report_for(layer, x));
  const bool is_left = x.numel() == 0 || product_of(result.y.sizes().slice(2)) > 0;
  require(is_left || !float_layer_refuses(operation, x, w, bias),
          "no output is left of " + shape_of(x));
  return with_gradient(result, x, w, bias,
                       [=](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
                         return float_convolution(operation, a, b, c);
                       });
}

}  // namespace tensorquant
