#include "tensorquant/libtorch/arithmetic/normalization.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>

#include "tensorquant/arithmetic/layers/batch_norm.h"
#include "tensorquant/libtorch/arithmetic/float_gradient.h"
#include "tensorquant/libtorch/arithmetic/operands.h"

namespace tensorquant {
namespace {

using namespace detail;

// A layer's tensor as the core takes it: one number for each of `count` outputs or channels, or
// nothing.
at::Tensor plain_vector(const char* name, const at::Tensor& tensor, std::int64_t count,
                        const at::Tensor& input) {
  require(!tensor.defined() || (tensor.dim() == 1 && tensor.size(0) == count),
          "expected a " + std::string(name) + " of (" + std::to_string(count) + "), found " +
              (tensor.defined() ? shape_of(tensor) : ""));
  return plain(tensor, input);
}

}  // namespace

at::Tensor rounded_batch_norm(const LayerArithmetic& layer, const at::Tensor& x,
                              const at::Tensor& mean, const at::Tensor& variance,
                              const at::Tensor& gamma, const at::Tensor& beta, double epsilon) {
  require(x.dim() >= 2, "expected an input of (batch, channels, ...), found " + shape_of(x));
  const bool is_of_batch = !mean.defined();
  const std::int64_t channels = x.size(1);
  require(!is_of_batch || x.size(0) * product_of(x.sizes().slice(2)) != 1,
          "expected more than one value for each channel in training, found " + shape_of(x));
  const at::Tensor input = plain_input(x);
  // libtorch looks at the channels of inputs with numbers alone.
  const auto for_channels = [&](const char* name, const at::Tensor& numbers) {
    return x.numel() == 0 ? plain(numbers, x) : plain_vector(name, numbers, channels, x);
  };
  const at::Tensor scale = for_channels("weight", gamma), shift = for_channels("bias", beta);
  at::Tensor means, variances;
  if (is_of_batch) {
    Sizes others = {0};
    for (std::int64_t d = 2; d < x.dim(); ++d) others.push_back(d);
    means = input.mean(others);
    variances = input.var(others, /*unbiased=*/false);
  } else {
    means = for_channels("running mean", mean);
    variances = for_channels("running variance", variance);
  }
  const at::Tensor y = at::empty(input.sizes(), input.options());
  const at::Tensor outside = mask_for(layer, input.sizes());
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    if (x.numel() == 0) return;
    const BatchNorm<T> norm{span_of<T>(means), span_of<T>(variances), span_of<T>(scale),
                            span_of<T>(shift), static_cast<T>(epsilon)};
    batch_norm(layer.arithmetic, layer.context, norm, product_of(x.sizes().slice(2)),
               span_of<T>(input), std::span<T>(y.data_ptr<T>(), span_of<T>(input).size()),
               report_for(layer, x), data_of(outside));
  });
  return with_gradient({y, outside}, x, gamma, beta,
                       [=](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
                         return at::batch_norm(a, b, c, mean, variance, is_of_batch, /*momentum=*/0,
                                               epsilon,
                                               /*cudnn_enabled=*/false);
                       });
}

}  // namespace tensorquant
