#ifndef TENSORQUANT_LIBTORCH_NN_POOLING_H_
#define TENSORQUANT_LIBTORCH_NN_POOLING_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "tensorquant/libtorch/arithmetic/pools.h"
#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant {

TENSORQUANT_MOVES_VALUES(MaxPool1d);
TENSORQUANT_MOVES_VALUES(MaxPool2d);
TENSORQUANT_MOVES_VALUES(MaxPool3d);
TENSORQUANT_MOVES_VALUES(AdaptiveMaxPool1d);
TENSORQUANT_MOVES_VALUES(AdaptiveMaxPool2d);
TENSORQUANT_MOVES_VALUES(AdaptiveMaxPool3d);
TENSORQUANT_MOVES_VALUES(FractionalMaxPool2d);
TENSORQUANT_MOVES_VALUES(FractionalMaxPool3d);
TENSORQUANT_MOVES_VALUES(MaxUnpool1d);
TENSORQUANT_MOVES_VALUES(MaxUnpool2d);
TENSORQUANT_MOVES_VALUES(MaxUnpool3d);

namespace detail {

template <class Layer>
at::Tensor rounded_pool(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x) {
  const auto vector_of = [](const auto& array) {
    return std::vector<std::int64_t>(array->begin(), array->end());
  };
  AveragePoolOperation options;
  options.kernel = vector_of(layer.options.kernel_size());
  options.stride = vector_of(layer.options.stride());
  options.padding_begin = options.padding_end = vector_of(layer.options.padding());
  options.ceil_mode = layer.options.ceil_mode();
  options.count_include_pad = layer.options.count_include_pad();
  const bool has_divisor = options.kernel.size() > 1;  // torch::nn::AvgPool1d ignores its option
  if constexpr (requires { layer.options.divisor_override(); }) {
    const auto& divisor = layer.options.divisor_override();
    if (has_divisor && divisor) options.divisor = static_cast<std::int64_t>(*divisor);
  }
  return rounded_average_pool(arithmetic, x, options);
}

struct RoundedPool {
  template <class Layer>
  static at::Tensor call(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x) {
    return rounded_pool(layer, arithmetic, x);
  }
};

struct RoundedAdaptivePool {
  template <class Layer>
  static at::Tensor call(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x) {
    std::vector<std::optional<std::int64_t>> sizes;
    for (const auto& size : *layer.options.output_size()) {
      if constexpr (requires { size.has_value(); }) {
        sizes.push_back(size.has_value() ? std::optional<std::int64_t>(*size) : std::nullopt);
      } else {
        sizes.emplace_back(size);
      }
    }
    return rounded_adaptive_average_pool(arithmetic, x, sizes);
  }
};

}  // namespace detail

template <>
struct RoundedForward<::torch::nn::AvgPool1dImpl> : detail::RoundedPool {};
template <>
struct RoundedForward<::torch::nn::AvgPool2dImpl> : detail::RoundedPool {};
template <>
struct RoundedForward<::torch::nn::AvgPool3dImpl> : detail::RoundedPool {};
template <>
struct RoundedForward<::torch::nn::AdaptiveAvgPool1dImpl> : detail::RoundedAdaptivePool {};
template <>
struct RoundedForward<::torch::nn::AdaptiveAvgPool2dImpl> : detail::RoundedAdaptivePool {};
template <>
struct RoundedForward<::torch::nn::AdaptiveAvgPool3dImpl> : detail::RoundedAdaptivePool {};

namespace nn {

TENSORQUANT_TWIN(AvgPool1d);
TENSORQUANT_TWIN(AvgPool2d);
TENSORQUANT_TWIN(AvgPool3d);
TENSORQUANT_TWIN(AdaptiveAvgPool1d);
TENSORQUANT_TWIN(AdaptiveAvgPool2d);
TENSORQUANT_TWIN(AdaptiveAvgPool3d);
TENSORQUANT_TWIN(LPPool1d);
TENSORQUANT_TWIN(LPPool2d);
TENSORQUANT_TWIN_OF(MaxPool1d, detail::WithIndices, UNARY);
TENSORQUANT_TWIN_OF(MaxPool2d, detail::WithIndices, UNARY);
TENSORQUANT_TWIN_OF(MaxPool3d, detail::WithIndices, UNARY);
TENSORQUANT_TWIN_OF(AdaptiveMaxPool1d, detail::WithIndices, UNARY);
TENSORQUANT_TWIN_OF(AdaptiveMaxPool2d, detail::WithIndices, UNARY);
TENSORQUANT_TWIN_OF(AdaptiveMaxPool3d, detail::WithIndices, UNARY);
TENSORQUANT_TWIN_OF(FractionalMaxPool2d, detail::WithIndices, UNARY);
TENSORQUANT_TWIN_OF(FractionalMaxPool3d, detail::WithIndices, UNARY);
TENSORQUANT_TWIN_OF(MaxUnpool1d, QLayer, BINARY_OPTIONAL);
TENSORQUANT_TWIN_OF(MaxUnpool2d, QLayer, BINARY_OPTIONAL);
TENSORQUANT_TWIN_OF(MaxUnpool3d, QLayer, BINARY_OPTIONAL);

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_POOLING_H_
