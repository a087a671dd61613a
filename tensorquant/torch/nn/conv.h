#ifndef TENSORQUANT_TORCH_NN_CONV_H_
#define TENSORQUANT_TORCH_NN_CONV_H_

#include <cstdint>
#include <type_traits>
#include <utility>
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

// The type of a layer's padding as numbers.
template <class Layer>
using Padding = std::decay_t<decltype(std::declval<Layer&>().options.stride())>;

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

// The float layer's own rule for the output_padding that gives an output_size.
template <class Layer>
struct OutputPadding : Layer {
  template <class OutputSize>
  static std::vector<std::int64_t> of(Layer& layer, const at::Tensor& x, const OutputSize& size) {
    const auto* padding = get_if<Padding<Layer>>(&layer.options.padding());
    if (padding == nullptr) throw Error("a transposed convolution needs its padding as numbers");
    return (layer.*&OutputPadding::_output_padding)(x, size, layer.options.stride(), *padding,
                                                    layer.options.kernel_size());
  }
};

template <class Layer, class OutputSize>
at::Tensor rounded_conv_transpose(Layer& layer, const LayerArithmetic& arithmetic,
                                  const at::Tensor& x, const OutputSize& output_size) {
  if (get_if<::torch::enumtype::kZeros>(&layer.options.padding_mode()) == nullptr) {
    throw Error("a transposed convolution pads with zeros alone");
  }
  ConvolutionOptions options = convolution_options(layer);
  options.output_padding = OutputPadding<Layer>::of(layer, x, output_size);
  const auto& padding = *get_if<Padding<Layer>>(&layer.options.padding());
  options.padding.assign(padding->begin(), padding->end());
  return rounded_convolution(arithmetic, x, layer.weight, layer.bias, options);
}

template <std::size_t D>
struct RoundedConv {
  template <class Layer>
  static at::Tensor call(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x) {
    return rounded_conv<D>(layer, arithmetic, x);
  }
};

struct RoundedConvTranspose {
  template <class Layer, class OutputSize>
  static at::Tensor call(Layer& layer, const LayerArithmetic& arithmetic, const at::Tensor& x,
                         const OutputSize& output_size) {
    return rounded_conv_transpose(layer, arithmetic, x, output_size);
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
struct RoundedForward<::torch::nn::ConvTranspose1dImpl> : detail::RoundedConvTranspose {};
template <>
struct RoundedForward<::torch::nn::ConvTranspose2dImpl> : detail::RoundedConvTranspose {};
template <>
struct RoundedForward<::torch::nn::ConvTranspose3dImpl> : detail::RoundedConvTranspose {};

namespace nn {

TENSORQUANT_TWIN(Conv1d);
TENSORQUANT_TWIN(Conv2d);
TENSORQUANT_TWIN(Conv3d);
TENSORQUANT_TWIN_OF(ConvTranspose1d, detail::OptionalArgument);
TENSORQUANT_TWIN_OF(ConvTranspose2d, detail::OptionalArgument);
TENSORQUANT_TWIN_OF(ConvTranspose3d, detail::OptionalArgument);

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_TORCH_NN_CONV_H_
