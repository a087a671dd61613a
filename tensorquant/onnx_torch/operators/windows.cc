#include "tensorquant/onnx_torch/operators/windows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <utility>

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
  for (const auto& [name, values] :
       {std::pair("kernel_shape", &windows.kernel), std::pair("strides", &windows.stride),
        std::pair("dilations", &windows.dilation)}) {
    for (const std::int64_t value : *values) {
      if (value >= 1) continue;
      throw Error("attribute '" + std::string(name) + "': expected 1 or more, found " +
                  std::to_string(value));
    }
  }
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

Integers space_of(const at::Tensor& x) {
  if (x.dim() < 3) throw Error("expected an input of 3 dimensions or more");
  Integers axes;
  for (std::int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

bool Windows::is_whole(const at::Tensor& x) const {
  const auto is_zero = [](std::int64_t margin) { return margin == 0; };
  return auto_pad == AutoPad::none && std::all_of(begin.begin(), begin.end(), is_zero) &&
         std::all_of(end.begin(), end.end(), is_zero) && x.dim() > 2 &&
         x.sizes().slice(2) == at::IntArrayRef(kernel);
}

std::int64_t groups_of(const NodeView& node, std::size_t weight_place) {
  const std::int64_t groups = positive(node, "group", 1);
  const at::Tensor weight = node.constant(weight_place);
  if (weight.defined() && weight.size(0) % groups != 0) {
    throw Error("attribute 'group': a weight of size " + std::to_string(weight.size(0)) +
                " along axis 0 has no " + std::to_string(groups) + " equal groups");
  }
  return groups;
}

namespace {

at::Tensor padded(const at::Tensor& x, const Integers& margins, double value) {
  const bool none = std::all_of(margins.begin(), margins.end(), [](auto m) { return m == 0; });
  return none ? x : at::constant_pad_nd(x, margins, value);
}

Integers kernel_of(const NodeView& node, const at::Tensor& weight) {
  if (weight.defined() && weight.dim() < 3)
    throw Error("expected a weight of 3 dimensions or more");
  if (weight.defined()) return weight.sizes().slice(2).vec();
  const Integers told = node.integers("kernel_shape");
  if (told.empty()) throw Error("a weight that is no constant needs the attribute kernel_shape");
  return told;
}

Function conv(const NodeView& node) {
  return [run = convolution_of(node)](const Tensors& in) {
    return Tensors{run(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor())};
  };
}

// Padding takes away from the output here.
Function conv_transpose(const NodeView& node) {
  const Windows windows = windows_of(node, kernel_of(node, node.constant(1)));
  if (windows.auto_pad != Windows::AutoPad::none || node.has("output_shape")) {
    throw Error("auto_pad and output_shape are not supported");
  }
  for (const auto* margins : {&windows.begin, &windows.end}) {
    for (const std::int64_t margin : *margins) {
      if (margin < 0) throw Error("attribute 'pads': negative numbers are not supported");
    }
  }
  const std::int64_t groups = groups_of(node);
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

// A window of ceil_mode that begins in the padding behind the input x is none. libtorch knows that
// of padding of its own alone.
at::Tensor without_late_windows(at::Tensor y, const at::Tensor& x, const Windows& windows,
                                const Integers& margins) {
  const std::size_t count = windows.dimensions();
  for (std::size_t d = 0; d < count; ++d) {
    const auto axis = static_cast<std::int64_t>(d) + 2;
    const std::int64_t last = y.size(axis) - 1, begin = margins[2 * (count - 1 - d)];
    if (last * windows.stride[d] >= x.size(axis) + begin) y = y.slice(axis, 0, last);
  }
  return y;
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
    const auto whole = [&](const at::Tensor& y) {
      return ceil_mode ? without_late_windows(y, in[0], windows, margins) : y;
    };
    if (count_padding) return Tensors{whole(all)};
    const at::Tensor ones = padded(at::ones_like(in[0]), margins, 0);
    return Tensors{whole(all / average(ones, windows, none, ceil_mode, false))};
  };
}

at::Tensor largest(const at::Tensor& x, const Windows& windows, const Integers& padding,
                   bool ceil_mode) {
  switch (windows.dimensions()) {
    case 1:
      return at::max_pool1d(x, windows.kernel, windows.stride, padding, windows.dilation,
                            ceil_mode);
    case 2:
      return at::max_pool2d(x, windows.kernel, windows.stride, padding, windows.dilation,
                            ceil_mode);
    default:
      return at::max_pool3d(x, windows.kernel, windows.stride, padding, windows.dilation,
                            ceil_mode);
  }
}

Function max_pool(const NodeView& node) {
  if (node.has_output(1)) throw Error("its indices are not supported");
  const Windows windows = windows_of(node, node.integers("kernel_shape"));
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0;
  const Integers none(windows.dimensions(), 0);
  return [=](const Tensors& in) {
    if (windows.is_symmetric()) {
      return Tensors{largest(in[0], windows, windows.begin, ceil_mode)};
    }
    const Integers margins = windows.margins(in[0]);
    const double lowest = -std::numeric_limits<double>::infinity();
    const at::Tensor y = largest(padded(in[0], margins, lowest), windows, none, ceil_mode);
    return Tensors{ceil_mode ? without_late_windows(y, in[0], windows, margins) : y};
  };
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
  const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch") {
    throw Error("keep_aspect_ratio_policy '" + policy + "' is not supported");
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

Convolve convolution_of(const NodeView& node, std::size_t weight) {
  const Windows windows = windows_of(node, kernel_of(node, node.constant(weight)));
  const std::int64_t groups = groups_of(node, weight);
  return [=](const at::Tensor& input, const at::Tensor& w, const at::Tensor& bias) {
    const bool symmetric = windows.is_symmetric();
    const at::Tensor x = symmetric ? input : padded(input, windows.margins(input), 0);
    const Integers padding = symmetric ? windows.begin : Integers(windows.dimensions(), 0);
    return at::convolution(x, w, bias, windows.stride, padding, windows.dilation,
                           /*transposed=*/false, Integers(windows.dimensions(), 0), groups);
  };
}

Operators window_operators() {
  return {
      {"Conv", {conv, 2, 3}},
      {"ConvTranspose", {conv_transpose, 2, 3}},
      {"AveragePool", {average_pool, 1, 1}},
      {"MaxPool", {max_pool, 1, 1}},
      {"GlobalAveragePool", {global_average_pool, 1, 1}},
      {"GlobalMaxPool", {global_max_pool, 1, 1}},
      {"Resize", {resize, 1, 4}},
  };
}

}  // namespace tensorquant::onnx_torch
