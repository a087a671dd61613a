#include "tensorquant/onnx_torch/operators/windows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

namespace tensorquant::onnx_torch {

Integers Windows::margins(const at::Tensor& x) const {
  Integers result;
  for (std::size_t d = dimensions(); d-- > 0;) {
    if (auto_pad == AutoPad::none) {
      result.insert(result.end(), {begin[d], end[d]});
      continue;
    }
    const std::int64_t size = x.size(static_cast<std::int64_t>(d) + 2);
    const std::int64_t outputs = (size + stride[d] - 1) / stride[d];
    const std::int64_t reach = (outputs - 1) * stride[d] + dilation[d] * (kernel[d] - 1) + 1;
    const std::int64_t all = std::max<std::int64_t>(0, reach - size);
    const std::int64_t more = all - all / 2, less = all / 2;
    const bool upper = auto_pad == AutoPad::same_upper;
    result.insert(result.end(), {upper ? less : more, upper ? more : less});
  }
  return result;
}

Windows windows_of(const NodeView& node, Integers kernel) {
  Windows windows;
  const std::size_t count = kernel.size();
  const auto list = [&](const char* name, std::size_t size, std::int64_t otherwise) {
    Integers values = node.integers(name, Integers(size, otherwise));
    if (values.size() != size) {
      throw Error("attribute '" + std::string(name) + "': expected " + std::to_string(size) +
                  " integers, found " + std::to_string(values.size()));
    }
    return values;
  };
  if (count < 1 || count > 3) {
    throw Error("windows of " + std::to_string(count) + " dimensions are not supported");
  }
  windows.kernel = std::move(kernel);
  windows.stride = list("strides", count, 1);
  windows.dilation = list("dilations", count, 1);
  const Integers pads = list("pads", 2 * count, 0);
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(count);
  windows.begin.assign(pads.begin(), middle);
  windows.end.assign(middle, pads.end());
  const std::string automatic = node.text("auto_pad", "NOTSET");
  if (automatic == "VALID") {
    windows.begin.assign(count, 0);
    windows.end.assign(count, 0);
  } else if (automatic == "SAME_UPPER") {
    windows.auto_pad = Windows::AutoPad::same_upper;
  } else if (automatic == "SAME_LOWER") {
    windows.auto_pad = Windows::AutoPad::same_lower;
  } else if (automatic != "NOTSET") {
    throw Error("auto_pad '" + automatic + "' is not known");
  }
  return windows;
}

namespace {

at::Tensor padded(const at::Tensor& x, const Integers& margins, double value) {
  const bool none = std::all_of(margins.begin(), margins.end(), [](auto m) { return m == 0; });
  return none ? x : at::constant_pad_nd(x, margins, value);
}

Integers kernel_of(const NodeView& node, const at::Tensor& weight) {
  if (weight.defined()) return weight.sizes().slice(2).vec();
  const Integers told = node.integers("kernel_shape");
  if (told.empty()) throw Error("a weight that is no constant needs the attribute kernel_shape");
  return told;
}

Function conv(const NodeView& node) {
  const Windows windows = windows_of(node, kernel_of(node, node.constant(1)));
  const std::int64_t groups = node.integer("group", 1);
  return [=](const Tensors& in) {
    const bool symmetric = windows.is_symmetric();
    const at::Tensor x = symmetric ? in[0] : padded(in[0], windows.margins(in[0]), 0);
    const Integers padding = symmetric ? windows.begin : Integers(windows.dimensions(), 0);
    return Tensors{at::convolution(x, in[1], in.size() > 2 ? in[2] : at::Tensor(), windows.stride,
                                   padding, windows.dilation, /*transposed=*/false,
                                   Integers(windows.dimensions(), 0), groups)};
  };
}

// Padding takes away from the output here.
Function conv_transpose(const NodeView& node) {
  const Windows windows = windows_of(node, kernel_of(node, node.constant(1)));
  if (windows.auto_pad != Windows::AutoPad::none || node.has("output_shape")) {
    throw Error("auto_pad and output_shape are not supported");
  }
  const std::int64_t groups = node.integer("group", 1);
  const Integers none(windows.dimensions(), 0);
  const Integers extra = node.integers("output_padding", none);
  return [=](const Tensors& in) {
    const bool symmetric = windows.is_symmetric();
    at::Tensor y = at::convolution(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor(),
                                   windows.stride, symmetric ? windows.begin : none,
                                   windows.dilation, /*transposed=*/true, extra, groups);
    for (std::size_t d = 0; d < windows.dimensions() && !symmetric; ++d) {
      const auto axis = static_cast<std::int64_t>(d) + 2;
      y = y.slice(axis, windows.begin[d], y.size(axis) - windows.end[d]);
    }
    return Tensors{y};
  };
}

at::Tensor average(const at::Tensor& x, const Windows& windows, const Integers& padding,
                   bool ceil_mode, bool count_padding) {
  switch (windows.dimensions()) {
    case 1:
      return at::avg_pool1d(x, windows.kernel, windows.stride, padding, ceil_mode, count_padding);
    case 2:
      return at::avg_pool2d(x, windows.kernel, windows.stride, padding, ceil_mode, count_padding);
    default:
      return at::avg_pool3d(x, windows.kernel, windows.stride, padding, ceil_mode, count_padding);
  }
}

// With ceil_mode no element counts that lies beyond the padded input, as in libtorch.
Function average_pool(const NodeView& node) {
  const Windows windows = windows_of(node, node.integers("kernel_shape"));
  for (const std::int64_t dilation : windows.dilation) {
    if (dilation != 1) throw Error("dilations are not supported");
  }
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0;
  const bool count_padding = node.integer("count_include_pad", 0) != 0;
  const Integers none(windows.dimensions(), 0);
  return [=](const Tensors& in) {
    if (windows.is_symmetric()) {
      return Tensors{average(in[0], windows, windows.begin, ceil_mode, count_padding)};
    }
    const Integers margins = windows.margins(in[0]);
    const at::Tensor all = average(padded(in[0], margins, 0), windows, none, ceil_mode, false);
    if (count_padding) return Tensors{all};
    const at::Tensor ones = padded(at::ones_like(in[0]), margins, 0);
    return Tensors{all / average(ones, windows, none, ceil_mode, false)};
  };
}

Function max_pool(const NodeView& node) {
  if (node.has_output(1)) throw Error("its indices are not supported");
  const Windows windows = windows_of(node, node.integers("kernel_shape"));
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0;
  return [=](const Tensors& in) {
    const bool symmetric = windows.is_symmetric();
    const double lowest = -std::numeric_limits<double>::infinity();
    const at::Tensor x = symmetric ? in[0] : padded(in[0], windows.margins(in[0]), lowest);
    const Integers padding = symmetric ? windows.begin : Integers(windows.dimensions(), 0);
    switch (windows.dimensions()) {
      case 1:
        return Tensors{at::max_pool1d(x, windows.kernel, windows.stride, padding, windows.dilation,
                                      ceil_mode)};
      case 2:
        return Tensors{at::max_pool2d(x, windows.kernel, windows.stride, padding, windows.dilation,
                                      ceil_mode)};
      default:
        return Tensors{at::max_pool3d(x, windows.kernel, windows.stride, padding, windows.dilation,
                                      ceil_mode)};
    }
  };
}

Integers space_of(const at::Tensor& x) {
  Integers axes;
  for (std::int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

Function global_average_pool(const NodeView&) {
  return [](const Tensors& in) { return Tensors{in[0].mean(space_of(in[0]), /*keepdim=*/true)}; };
}

Function global_max_pool(const NodeView&) {
  return [](const Tensors& in) { return Tensors{in[0].amax(space_of(in[0]), /*keepdim=*/true)}; };
}

// Images by bilinear interpolation or the nearest pixel, by scales or to sizes.
Function resize(const NodeView& node) {
  const std::string mode = node.text("mode", "nearest");
  const std::string places = node.text("coordinate_transformation_mode", "half_pixel");
  const bool linear = mode == "linear" && (places == "half_pixel" || places == "align_corners");
  const bool nearest = mode == "nearest" && places == "asymmetric" &&
                       node.text("nearest_mode", "round_prefer_floor") == "floor";
  if (!linear && !nearest) {
    throw Error("mode '" + mode + "' with coordinates '" + places + "' is not supported");
  }
  if (node.version() < 11 || node.has("axes") || node.integer("antialias", 0) != 0) {
    throw Error("axes, antialias and operator sets before 11 are not supported");
  }
  const bool by_size = node.has_input(3);
  const at::Tensor told = node.constant(by_size ? 3 : 2);
  if (!told.defined() || told.numel() != 4)
    throw Error("expected constant scales or sizes of 4 axes");
  const at::Tensor numbers = told.to(at::kDouble);
  return [=](const Tensors& in) {
    const at::Tensor& x = in[0];
    if (x.dim() != 4) throw Error("expected an input of 4 dimensions");
    Integers sizes;
    for (std::int64_t axis = 0; axis < 4; ++axis) {
      const double number = numbers[axis].item<double>();
      sizes.push_back(by_size
                          ? static_cast<std::int64_t>(number)
                          : static_cast<std::int64_t>(static_cast<double>(x.size(axis)) * number));
    }
    if (sizes[0] != x.size(0) || sizes[1] != x.size(1)) throw Error("only images can be resized");
    const Integers space = {sizes[2], sizes[3]};
    const auto scale = [&](std::int64_t axis) {
      return by_size ? c10::optional<double>() : c10::make_optional(numbers[axis].item<double>());
    };
    if (nearest) return Tensors{at::upsample_nearest2d(x, space, scale(2), scale(3))};
    return Tensors{
        at::upsample_bilinear2d(x, space, places == "align_corners", scale(2), scale(3))};
  };
}

}  // namespace

Makers window_operators() {
  return {
      {"Conv", conv},
      {"ConvTranspose", conv_transpose},
      {"AveragePool", average_pool},
      {"MaxPool", max_pool},
      {"GlobalAveragePool", global_average_pool},
      {"GlobalMaxPool", global_max_pool},
      {"Resize", resize},
  };
}

}  // namespace tensorquant::onnx_torch
