#ifndef TENSORQUANT_LIBTORCH_NN_CONV_H_
#define TENSORQUANT_LIBTORCH_NN_CONV_H_

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/arithmetic/linear_and_convolution.h"
#include "tensorquant/libtorch/nn/twin.h"

namespace tensorquant {

namespace detail {

// What the options of all convolutions have; they come from torch::nn::ConvNdImpl or a class
// derived from it.
template <class Layer>
ConvolutionOperation convolution_options(const Layer& layer) {
  const auto vector_of = [](const auto& array) {
    return std::vector<std::int64_t>(array->begin(), array->end());
  };
  ConvolutionOperation options;
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
  ConvolutionOperation options = convolution_options(layer);
  options.padding_begin.assign(D, 0);
  options.padding_end.assign(D, 0);
  const auto& padding = layer.options.padding();
  for (std::size_t d = 0; d < D; ++d) {
    if (const auto* sizes = get_if<::torch::ExpandingArray<D>>(&padding)) {
      options.padding_begin[d] = options.padding_end[d] = (**sizes)[d];
    } else if (get_if<::torch::enumtype::kSame>(&padding) != nullptr) {
      const std::int64_t all = options.dilation[d] * (layer.weight.size(d + 2) - 1);
      options.padding_begin[d] = all / 2;
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
    margins.insert(margins.end(), {options.padding_begin[d], options.padding_end[d]});
  }
  namespace functional = ::torch::nn::functional;
  functional::PadFuncOptions pad(margins);
  if (get_if<::torch::enumtype::kReflect>(&mode) != nullptr) pad.mode(::torch::kReflect);
  if (get_if<::torch::enumtype::kReplicate>(&mode) != nullptr) pad.mode(::torch::kReplicate);
  if (get_if<::torch::enumtype::kCircular>(&mode) != nullptr) pad.mode(::torch::kCircular);
  options.padding_begin.assign(D, 0);
  options.padding_end.assign(D, 0);
  return rounded_convolution(arithmetic, functional::pad(x, pad), layer.weight, layer.bias,
                             options);
}

// The output_padding that gives an output_size, by the rule of torch::nn, which knows no dilation
// and takes the dimensions behind the first two, of an input without a batch as well.
template <std::size_t D, class Layer>
std::vector<std::int64_t> output_padding_for(const Layer& layer, const at::Tensor& x,
                                             at::IntArrayRef size) {
  __extension__ using Wide = __int128;
  const auto dimensions = static_cast<std::size_t>(x.dim());
  if (dimensions != D + 1 && dimensions != D + 2) {
    throw Error("expected an input of " + std::to_string(D + 1) + " or " + std::to_string(D + 2) +
                " dimensions, found " + std::to_string(dimensions));
  }
  if (size.size() == dimensions) size = size.slice(2);
  if (size.size() != dimensions - 2) {
    throw Error("an output_size of " + std::to_string(size.size()) + " numbers, expected " +
                std::to_string(dimensions - 2) + " or " + std::to_string(dimensions));
  }
  const auto& padding = *get_if<Padding<Layer>>(&layer.options.padding());
  std::vector<std::int64_t> added;
  for (std::size_t d = 0; d < size.size(); ++d) {
    const Wide stride = (*layer.options.stride())[d];
    const Wide least = (x.size(static_cast<std::int64_t>(d) + 2) - 1) * stride -
                       2 * Wide{(*padding)[d]} + (*layer.options.kernel_size())[d];
    if (size[d] < least || size[d] >= least + stride) {
      throw Error("an output of " + std::to_string(size[d]) +
                  " is more than a stride from the least one");
    }
    added.push_back(static_cast<std::int64_t>(size[d] - least));
  }
  return added;
}

template <std::size_t D, class Layer, class OutputSize>
at::Tensor rounded_conv_transpose(Layer& layer, const LayerArithmetic& arithmetic,
                                  const at::Tensor& x, const OutputSize& output_size) {
  if (get_if<::torch::enumtype::kZeros>(&layer.options.padding_mode()) == nullptr) {
    throw Error("a transposed convolution pads with zeros alone");
  }
  const auto* padding = get_if<Padding<Layer>>(&layer.options.padding());
  if (padding == nullptr) throw Error("a transposed convolution needs its padding as numbers");
  ConvolutionOperation options = convolution_options(layer);
  options.is_transposed = true;
  options.padding_begin.assign((*padding)->begin(), (*padding)->end());
  options.padding_end = options.padding_begin;
  if (output_size.has_value()) {
    options.output_padding = output_padding_for<D>(layer, x, *output_size);
  } else {
    const auto& extra = layer.options.output_padding();
    options.output_padding.assign(extra->begin(), extra->end());
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

#endif  // TENSORQUANT_LIBTORCH_NN_CONV_H_
