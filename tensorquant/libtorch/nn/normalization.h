#ifndef TENSORQUANT_LIBTORCH_NN_NORMALIZATION_H_
#define TENSORQUANT_LIBTORCH_NN_NORMALIZATION_H_

#include "tensorquant/libtorch/arithmetic/normalization.h"
#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant {

namespace detail {

// The float layer's own check of the number of dimensions.
template <class Layer>
struct DimensionCheck : Layer {
  static void of(Layer& layer, const at::Tensor& x) {
    (layer.*&DimensionCheck::_check_input_dim)(x);
  }
};

struct RoundedBatchNorm {
  template <class Layer>
  static at::Tensor call(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x) {
    DimensionCheck<Layer>::of(layer, x);
    const bool is_of_batch = layer.is_training() || !layer.running_mean.defined();
    const at::Tensor y =
        rounded_batch_norm(arithmetic, x, is_of_batch ? at::Tensor() : layer.running_mean,
                           is_of_batch ? at::Tensor() : layer.running_var, layer.weight, layer.bias,
                           layer.options.eps());
    if (layer.is_training()) {  // the float layer keeps the running statistics
      const at::NoGradGuard no_gradient;
      layer.Layer::forward(x);
    }
    return y;
  }
};

struct RoundedInstanceNorm {
  template <class Layer>
  static bool covers(const Layer& layer) {
    return !layer.options.track_running_stats();
  }
  template <class Layer>
  static at::Tensor call(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x) {
    DimensionCheck<Layer>::of(layer, x);
    const auto normalize = [&](const at::Tensor& batch) {
      return rounded_instance_norm(arithmetic, batch, layer.weight, layer.bias,
                                   layer.options.eps());
    };
    const bool has_batch = x.dim() == batched_dimensions(layer);
    return has_batch ? normalize(x) : normalize(x.unsqueeze(0)).squeeze(0);
  }

 private:
  static std::int64_t batched_dimensions(const ::torch::nn::InstanceNorm1dImpl&) { return 3; }
  static std::int64_t batched_dimensions(const ::torch::nn::InstanceNorm2dImpl&) { return 4; }
  static std::int64_t batched_dimensions(const ::torch::nn::InstanceNorm3dImpl&) { return 5; }
};

}  // namespace detail

template <>
struct RoundedForward<::torch::nn::LayerNormImpl> {
  static at::Tensor call(::torch::nn::LayerNormImpl& layer, const LayerArithmetic& arithmetic,
                         const at::Tensor& x) {
    return rounded_layer_norm(arithmetic, x, layer.options.normalized_shape(), layer.weight,
                              layer.bias, layer.options.eps());
  }
};
template <>
struct RoundedForward<::torch::nn::GroupNormImpl> {
  static at::Tensor call(::torch::nn::GroupNormImpl& layer, const LayerArithmetic& arithmetic,
                         const at::Tensor& x) {
    return rounded_group_norm(arithmetic, x, layer.options.num_groups(), layer.weight, layer.bias,
                              layer.options.eps());
  }
};
template <>
struct RoundedForward<::torch::nn::InstanceNorm1dImpl> : detail::RoundedInstanceNorm {};
template <>
struct RoundedForward<::torch::nn::InstanceNorm2dImpl> : detail::RoundedInstanceNorm {};
template <>
struct RoundedForward<::torch::nn::InstanceNorm3dImpl> : detail::RoundedInstanceNorm {};
template <>
struct RoundedForward<::torch::nn::BatchNorm1dImpl> : detail::RoundedBatchNorm {};
template <>
struct RoundedForward<::torch::nn::BatchNorm2dImpl> : detail::RoundedBatchNorm {};
template <>
struct RoundedForward<::torch::nn::BatchNorm3dImpl> : detail::RoundedBatchNorm {};

namespace nn {

TENSORQUANT_TWIN(BatchNorm1d);
TENSORQUANT_TWIN(BatchNorm2d);
TENSORQUANT_TWIN(BatchNorm3d);
TENSORQUANT_TWIN(InstanceNorm1d);
TENSORQUANT_TWIN(InstanceNorm2d);
TENSORQUANT_TWIN(InstanceNorm3d);
TENSORQUANT_TWIN(LayerNorm);
TENSORQUANT_TWIN(GroupNorm);
TENSORQUANT_TWIN(LocalResponseNorm);
TENSORQUANT_TWIN(CrossMapLRN2d);

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_NORMALIZATION_H_
