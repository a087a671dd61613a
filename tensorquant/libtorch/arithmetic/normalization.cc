#include "tensorquant/libtorch/arithmetic/normalization.h"

#include <ATen/ATen.h>

#include <string>

#include "tensorquant/libtorch/arithmetic/float_gradient.h"
#include "tensorquant/libtorch/arithmetic/operands.h"

namespace tensorquant {
namespace {

using namespace detail;

// The core takes gamma and beta by their places.
at::Tensor with_gamma(const at::Tensor& gamma, const at::Tensor& beta) {
  return gamma.defined() || !beta.defined() ? gamma : at::ones_like(beta);
}

// libtorch looks at the channels of inputs with numbers alone.
RoundedResult normalized(const LayerArithmetic& layer, const Operation& operation,
                         std::initializer_list<at::Tensor> tensors) {
  const at::Tensor& x = *tensors.begin();
  if (x.numel() > 0) return run_on_values(layer, operation, tensors);
  for (const at::Tensor& tensor : tensors) plain(tensor, x);
  return {at::empty(x.sizes(), plain_input(x).options()), mask_for(layer, x.sizes())};
}

void check_last_sizes(const at::Tensor& x, at::IntArrayRef sizes,
                      std::initializer_list<at::Tensor> parameters) {
  const std::size_t dimensions = sizes.size(), all = static_cast<std::size_t>(x.dim());
  require(all >= dimensions && x.sizes().slice(all - dimensions) == sizes,
          "expected an input whose last sizes are those of the layer, found " + shape_of(x));
  for (const at::Tensor& tensor : parameters) {
    require(!tensor.defined() || tensor.sizes() == sizes,
            "expected a weight and a bias of the normalized sizes, found " +
                (tensor.defined() ? shape_of(tensor) : ""));
  }
}

}  // namespace

at::Tensor rounded_batch_norm(const LayerArithmetic& layer, const at::Tensor& x,
                              const at::Tensor& mean, const at::Tensor& variance,
                              const at::Tensor& gamma, const at::Tensor& beta, double epsilon) {
  require(x.dim() >= 2, "expected an input of (batch, channels, ...), found " + shape_of(x));
  const bool is_of_batch = !mean.defined();
  require(!is_of_batch || x.size(0) * product_of(x.sizes().slice(2)) != 1,
          "expected more than one value for each channel in training, found " + shape_of(x));
  at::Tensor means = mean, variances = variance;
  if (is_of_batch) {
    Sizes others = {0};
    for (std::int64_t d = 2; d < x.dim(); ++d) others.push_back(d);
    const at::Tensor input = plain_input(x);
    means = input.mean(others);
    variances = input.var(others, /*unbiased=*/false);
  }
  return with_gradient(
      normalized(layer, BatchNormOperation{epsilon},
                 {x, means, variances, with_gamma(gamma, beta), beta}),
      x, gamma, beta, [=](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
        return at::batch_norm(a, b, c, mean, variance, is_of_batch, /*momentum=*/0, epsilon,
                              /*cudnn_enabled=*/false);
      });
}

at::Tensor rounded_layer_norm(const LayerArithmetic& layer, const at::Tensor& x,
                              at::IntArrayRef sizes, const at::Tensor& gamma,
                              const at::Tensor& beta, double epsilon) {
  check_last_sizes(x, sizes, {gamma, beta});
  const LayerNormOperation operation{.dimensions = static_cast<std::int64_t>(sizes.size()),
                                     .epsilon = epsilon};
  return with_gradient(
      normalized(layer, operation, {x, with_gamma(gamma, beta), beta}), x, gamma, beta,
      [=, sizes = sizes.vec()](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
        return at::layer_norm(a, sizes, b, c, epsilon, /*cudnn_enable=*/false);
      });
}

at::Tensor rounded_rms_norm(const LayerArithmetic& layer, const at::Tensor& x,
                            at::IntArrayRef sizes, const at::Tensor& gamma, double epsilon) {
  check_last_sizes(x, sizes, {gamma});
  const LayerNormOperation operation{.dimensions = static_cast<std::int64_t>(sizes.size()),
                                     .is_centered = false,
                                     .epsilon = epsilon};
  std::vector<std::int64_t> last;
  for (std::size_t i = 1; i <= sizes.size(); ++i) last.push_back(-static_cast<std::int64_t>(i));
  return with_gradient(normalized(layer, operation, {x, gamma}), x, gamma, {},
                       [=](const at::Tensor& a, const at::Tensor& b, const at::Tensor&) {
                         const at::Tensor y =
                             a * at::rsqrt(at::mean(a * a, last, /*keepdim=*/true) + epsilon);
                         return b.defined() ? y * b : y;
                       });
}

at::Tensor rounded_group_norm(const LayerArithmetic& layer, const at::Tensor& x,
                              std::int64_t groups, const at::Tensor& gamma, const at::Tensor& beta,
                              double epsilon) {
  const GroupNormOperation operation{.groups = groups, .epsilon = epsilon};
  check_operation(operation);
  require(x.dim() >= 2 && x.size(1) % groups == 0,
          "expected an input of (batch, channels, ...) whose channels " + std::to_string(groups) +
              " groups divide, found " + shape_of(x));
  for (const at::Tensor& tensor : {gamma, beta}) {  // also of an input without numbers
    require(!tensor.defined() || tensor.sizes() == x.sizes().slice(1, 1),
            "expected a number for each channel of " + shape_of(x) + ", found " +
                (tensor.defined() ? shape_of(tensor) : ""));
  }
  return with_gradient(normalized(layer, operation, {x, with_gamma(gamma, beta), beta}), x, gamma,
                       beta, [=](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
                         return at::group_norm(a, groups, b, c, epsilon, /*cudnn_enabled=*/false);
                       });
}

at::Tensor rounded_instance_norm(const LayerArithmetic& layer, const at::Tensor& x,
                                 const at::Tensor& gamma, const at::Tensor& beta, double epsilon) {
  require(x.dim() >= 2, "expected an input of (batch, channels, ...), found " + shape_of(x));
  require(!gamma.defined() || x.size(0) > 0,
          "expected a batch that is not empty, found " + shape_of(x));
  const GroupNormOperation operation{.groups = x.size(1), .epsilon = epsilon};
  return with_gradient(normalized(layer, operation, {x, with_gamma(gamma, beta), beta}), x, gamma,
                       beta, [=](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
                         return at::instance_norm(a, b, c, {}, {}, /*use_input_stats=*/true,
                                                  /*momentum=*/0, epsilon, /*cudnn_enabled=*/false);
                       });
}

}  // namespace tensorquant
