#ifndef TENSORQUANT_TORCH_NN_CONV_H_
#define TENSORQUANT_TORCH_NN_CONV_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/torch/nn/twin.h"

namespace tensorquant {

namespace detail {

// What the options of all convolutions have; they come from torch::nn::ConvNdImpl or a class
// derived from it.
template <class Layer>
ConvolutionOptions convolution_options(const Layer& layer) {
  const auto vector_of = [](const auto& array) {
    return std::vector<std::int64_t>(array->begin(), array->end());
  };
  ConvolutionOptions options;
  options.stride = vector_of(layer.options.stride());
  options.dilation = vector_of(layer.options.dilation());
  options.groups = layer.options.groups();
  return options;
}

template <std::size_t D, class Layer>
at::Tensor rounded_conv(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x) {
  ConvolutionOptions options = convolution_options(layer);
  options.padding.assign(D, 0);
  options.padding_end.assign(D, 0);
  const auto& padding = layer.options.padding();
  for (std::size_t d = 0; d < D; ++d) {
    if (const auto* sizes = get_if<::torch::ExpandingArray<D>>(&padding)) {
      options.padding[d] = options.padding_end[d] = (**sizes)[d];
    } else if (get_if<::torch::enumtype::kSame>(&padding) != nullptr) {
      const std::int64_t all = options.dilation[d] * (layer.weight.size(d + 2) - 1);
      options.padding[d] = all / 2;
      options.padding_end[d] = all - all / 2;
    }
  }
  const auto& mode = layer.options.padding_mode();
  if (get_if<::torch::enumtype::kZeros>(&mode) != nullptr) {
    return rounded_convolution(arithmetic, x, layer.weight, layer.bias, options);
  }
  // Values that are moved into the margin: pad first, from the last dimension on.
  std::vector<std::int64_t> margins;
  for (std::size_t d = D; d-- > 0;) {
    margins.insert(margins.end(), {options.padding[d], options.padding_end[d]});
  }
  namespace functional = ::torch::nn::functional;
  functional::PadFuncOptions pad(margins);
  if (get_if<::torch::enumtype::kReflect>(&mode) != nullptr) pad.mode(::torch::kReflect);
  if (get_if<::torch::enumtype::kReplicate>(&mode) != nullptr) pad.mode(::torch::kReplicate);
  if (get_if<::torch::enumtype::kCircular>(&mode) != nullptr) pad.mode(::torch::kCircular);
  options.padding.assign(D, 0);
  options.padding_end.assign(D, 0);
  return rounded_convolution(arithmetic, functional::pad(x, pad), layer.weight, layer.bias,
                             options);
}

template <std::size_t D, class Layer, class OutputSize>
at::Tensor rounded_conv_transpose(Layer& layer, const LayerArithmetic& arithmetic,
                                  const at::Tensor& x, const OutputSize& output_size) {
  ConvolutionOptions options = convolution_options(layer);
  const auto* padding = get_if<::torch::ExpandingArray<D>>(&layer.options.padding());
  if (padding == nullptr) throw Error("a transposed convolution needs its padding as numbers");
  options.padding.assign((*padding)->begin(), (*padding)->end());
  const auto& extra = layer.options.output_padding();
  options.output_padding.emplace(extra->begin(), extra->end());
  if (output_size.has_value()) {
    const at::IntArrayRef wanted = output_size->slice(output_size->size() - D);
    const at::IntArrayRef input = x.sizes().slice(static_cast<std::size_t>(x.dim()) - D);
    for (std::size_t d = 0; d < D; ++d) {
      const std::int64_t reach = options.dilation[d] * (layer.weight.size(d + 2) - 1);
      const std::int64_t least =
          (input[d] - 1) * options.stride[d] - 2 * options.padding[d] + reach + 1;
      const std::int64_t added = wanted[d] - least;
      if (added < 0 || added >= std::max(options.stride[d], options.dilation[d])) {
        throw Error("an output of " + std::to_string(wanted[d]) + " is not between " +
                    std::to_string(least) + " and the stride or dilation beyond it");
      }
      (*options.output_padding)[d] = added;
    }
  }
  return rounded_convolution(arithmetic, x, layer.weight, layer.bias, options);
}

template <std::size_t D>
struct RoundedConv {
  template <class Layer>
  static at::Tensor call(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x) {
    return rounded_conv<D>(layer, arithmetic, x);
  }
};

template <std::size_t D>
struct RoundedConvTranspose {
  template <class Layer, class OutputSize>
  static at::Tensor call(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x,
                         const OutputSize& output_size) {
    return rounded_conv_transpose<D>(layer, arithmetic, x, output_size);
  }
};

}  // namespace detail

template <>
struct RoundedForward<::torch::nn::Conv1dImpl> : detail::RoundedConv<1> {};
template <>
struct RoundedForward<::torch::nn::Conv2dImpl> : detail::RoundedConv<2> {};
template <>
struct RoundedForward<::torch::nn::Conv3dImpl> : detail::RoundedConv<3> {};
template <>
struct RoundedForward<::torch::nn::ConvTranspose1dImpl> : detail::RoundedConvTranspose<1> {};
template <>
struct RoundedForward<::torch::nn::ConvTranspose2dImpl> : detail::RoundedConvTranspose<2> {};
template <>
struct RoundedForward<::torch::nn::ConvTranspose3dImpl> : detail::RoundedConvTranspose<3> {};

namespace nn {

TENSORQUANT_TWIN(Conv1d);
TENSORQUANT_TWIN(Conv2d);
TENSORQUANT_TWIN(Conv3d);
TENSORQUANT_TWIN_OF(ConvTranspose1d, QLayer, OPTIONAL);
TENSORQUANT_TWIN_OF(ConvTranspose2d, QLayer, OPTIONAL);
TENSORQUANT_TWIN_OF(ConvTranspose3d, QLayer, OPTIONAL);

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_TORCH_NN_CONV_H_
