#ifndef TENSORQUANT_ONNX_TORCH_OPERATORS_WINDOWS_H_
#define TENSORQUANT_ONNX_TORCH_OPERATORS_WINDOWS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::onnx_torch {

// How the window of a convolution or pool moves: the attributes that they share.
struct Windows {
  enum class AutoPad : std::uint8_t { none, same_upper, same_lower };

  Integers kernel, stride, dilation;
  Integers begin, end;  // padding
  AutoPad auto_pad = AutoPad::none;

  std::size_t dimensions() const { return kernel.size(); }
  // Padding that libtorch's layers take: known before the input is, equal on both sides.
  bool is_symmetric() const { return auto_pad == AutoPad::none && begin == end; }
  bool is_dilated() const;
  // Whether libtorch's pools take the padding.
  bool fits_a_pool() const;
  // Whether there is one window, and it is all of the input.
  bool is_whole(const at::Tensor& x) const;
  // For an input: numbers for constant_pad_nd(), from the last dimension on. Error if it has not
  // the dimensions of the window, and those of batch and channels before.
  Integers margins(const at::Tensor& x) const;
  // How many elements of the input a window spans.
  std::int64_t reach(std::size_t d) const { return dilation[d] * (kernel[d] - 1) + 1; }
  // How often the window fits into x with those margins, as ONNX counts: one of ceil_mode that
  // begins in the padding behind the input is none. Error if it does not fit at all.
  Integers counts(const at::Tensor& x, const Integers& margins, bool ceil_mode) const;
  // Errors if a convolution of x has no output, or none that memory holds.
  void check_convolution(const at::Tensor& x, std::int64_t channels) const;
  void check_transposed(const at::Tensor& x, std::int64_t channels) const;

 private:
  void check_rank(const at::Tensor& x) const;
};

// The same without the kernel, which may be known only with the input.
struct WindowAttributes {
  explicit WindowAttributes(const NodeView& node);

  Integers strides, dilations, pads;  // empty if left out
  std::string auto_pad;

  // Error unless sizes, strides and dilations are 1 or more, and all are far below the ends of
  // their type.
  Windows with(Integers kernel) const;
};

// x with numbers around it, or with less than it has; by numbers for constant_pad_nd().
at::Tensor padded(const at::Tensor& x, const Integers& margins, double value);

// The axes behind batch and channels. Error if there are none.
Integers space_of(const at::Tensor& x);

// How many groups of channels a convolution has; of a constant weight they fit its first axis.
std::int64_t groups_of(const NodeView& node, std::size_t weight = 1);

// The convolution that a node's attributes tell. `weight`: its place among the inputs.
using Convolve =
    std::function<at::Tensor(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias)>;
Convolve convolution_of(const NodeView& node, std::size_t weight = 1);

// The attribute of a transposed convolution; empty if left out.
Integers output_padding_of(const NodeView& node);

// `kernel`: of a convolution the sizes of its weight; of a pool its attribute.
Windows windows_of(const NodeView& node, Integers kernel);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_OPERATORS_WINDOWS_H_
