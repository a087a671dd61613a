#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"
#include "tensorquant/onnx_torch/operators/windows.h"

namespace tensorquant::onnx_torch {
namespace {

// The elements of each window along a last axis: (n, c, windows..., elements).
at::Tensor windowed(const at::Tensor& x, const Windows& windows, Integers margins,
                    const Integers& sizes, double value) {
  const std::size_t count = windows.dimensions();
  for (std::size_t d = 0; d < count; ++d) {  // windows of ceil_mode reach beyond the padding
    const std::size_t place = 2 * (count - 1 - d);
    const std::int64_t needed = (sizes[d] - 1) * windows.stride[d] + windows.reach(d);
    const std::int64_t size = x.size(static_cast<std::int64_t>(d) + 2) + margins[place];
    margins[place + 1] = std::max(margins[place + 1], needed - size);
  }
  at::Tensor y = padded(x, margins, value);
  Integers all = x.sizes().slice(0, 2).vec();
  for (std::size_t d = 0; d < count; ++d) all.insert(all.end(), {sizes[d], windows.kernel[d]});
  check_size(all, x.scalar_type());
  for (std::size_t d = 0; d < count; ++d) {
    const at::Tensor starts = at::arange(sizes[d], at::kLong) * windows.stride[d];
    const at::Tensor steps = at::arange(windows.kernel[d], at::kLong) * windows.dilation[d];
    y = y.index_select(static_cast<std::int64_t>(d) + 2,
                       (starts.unsqueeze(1) + steps).reshape({-1}));
  }
  Integers order = {0, 1};
  for (std::size_t d = 0; d < count; ++d) order.push_back(static_cast<std::int64_t>(2 + 2 * d));
  for (std::size_t d = 0; d < count; ++d) order.push_back(static_cast<std::int64_t>(3 + 2 * d));
  return y.reshape(all).permute(order).flatten(static_cast<std::int64_t>(count) + 2);
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
at::Tensor averaged(const at::Tensor& x, const Windows& windows, bool ceil_mode,
                    bool count_padding) {
  const Integers margins = windows.margins(x);
  if (windows.fits_a_pool() && !windows.is_dilated()) {
    return average(x, windows, windows.begin, ceil_mode, count_padding);
  }
  const Integers sizes = windows.counts(x, margins, ceil_mode);
  const auto sum = [&](const at::Tensor& of, const Integers& around) {
    return windowed(of, windows, around, sizes, 0).sum(-1);
  };
  at::Tensor counted = at::ones_like(x.slice(0, 0, 1).slice(1, 0, 1));
  if (!count_padding) return sum(x, margins) / sum(counted, margins);
  return sum(x, margins) / sum(padded(counted, margins, 1), Integers(margins.size(), 0));
}

Function average_pool(const NodeView& node) {
  const Windows windows = windows_of(node, node.integers("kernel_shape"));
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0;
  const bool count_padding = node.integer("count_include_pad", 0) != 0;
  return [=](const Tensors& in) {
    return Tensors{averaged(in[0], windows, ceil_mode, count_padding)};
  };
}

// The p-th root of the sum of the p-th powers of the elements' sizes.
Function lp_pool(const NodeView& node) {
  const Windows windows = windows_of(node, node.integers("kernel_shape"));
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0;
  const auto p = static_cast<double>(positive(node, "p", 2));
  return [=](const Tensors& in) {
    const Integers margins = windows.margins(in[0]);
    const Integers sizes = windows.counts(in[0], margins, ceil_mode);
    const at::Tensor elements = windowed(in[0].abs().pow(p), windows, margins, sizes, 0);
    return Tensors{elements.sum(-1).pow(1 / p)};
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

constexpr double kBelowAll = -std::numeric_limits<double>::infinity();

// A window of ceil_mode that begins in the padding behind the input x is none. libtorch knows that
// of padding of its own alone.
at::Tensor without_late_windows(at::Tensor y, const Integers& sizes) {
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    y = y.slice(static_cast<std::int64_t>(d) + 2, 0, sizes[d]);
  }
  return y;
}

at::Tensor max_pooled(const at::Tensor& x, const Windows& windows, bool ceil_mode) {
  if (windows.fits_a_pool()) return largest(x, windows, windows.begin, ceil_mode);
  const Integers margins = windows.margins(x), none(windows.dimensions(), 0);
  const at::Tensor y = largest(padded(x, margins, kBelowAll), windows, none, ceil_mode);
  return without_late_windows(y, windows.counts(x, margins, ceil_mode));
}

// With the largest elements where they stand in the whole input.
Tensors max_pooled_with_indices(const at::Tensor& x, const Windows& windows, bool ceil_mode,
                                bool columns_first) {
  const Integers margins = windows.margins(x);
  const Integers sizes = windows.counts(x, margins, ceil_mode);
  const auto [values, places] = windowed(x, windows, margins, sizes, kBelowAll).max(-1);
  Integers space = x.sizes().slice(2).vec(), order;
  const std::int64_t plane = at::numel(x.slice(0, 0, 1).slice(1, 0, 1));
  at::Tensor numbers = at::arange(plane, at::kDouble);
  if (columns_first) {
    std::reverse(space.begin(), space.end());
    for (auto d = static_cast<std::int64_t>(space.size()); d-- > 0;) order.push_back(d);
    numbers = numbers.reshape(space).permute(order);
  } else {
    numbers = numbers.reshape(space);
  }
  const at::Tensor of_windows =
      windowed(numbers.unsqueeze(0).unsqueeze(0), windows, margins, sizes, 0).to(at::kLong);
  Integers all = values.sizes().vec();
  all.push_back(of_windows.size(-1));
  const at::Tensor in_plane = of_windows.expand(all).gather(-1, places.unsqueeze(-1)).squeeze(-1);
  Integers steps(static_cast<std::size_t>(x.dim()), 1);
  steps[0] = x.size(0);
  steps[1] = x.size(1);
  const at::Tensor planes = at::arange(x.size(0) * x.size(1), at::kLong).reshape(steps);
  return {values, in_plane + planes * plane};
}

Function max_pool(const NodeView& node) {
  const Windows windows = windows_of(node, node.integers("kernel_shape"));
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0, indices = node.has_output(1);
  const bool columns_first = node.integer("storage_order", 0) != 0;
  return [=](const Tensors& in) {
    // Integers of 8 bits are pooled as floats, which hold them.
    const at::Tensor x = in[0].is_floating_point() ? in[0] : in[0].to(at::kFloat);
    Tensors results = indices ? max_pooled_with_indices(x, windows, ceil_mode, columns_first)
                              : Tensors{max_pooled(x, windows, ceil_mode)};
    results[0] = results[0].to(in[0].scalar_type());
    return results;
  };
}

Function global_average_pool(const NodeView&) {
  return [](const Tensors& in) { return Tensors{in[0].mean(space_of(in[0]), /*keepdim=*/true)}; };
}

Function global_max_pool(const NodeView&) {
  return [](const Tensors& in) { return Tensors{in[0].amax(space_of(in[0]), /*keepdim=*/true)}; };
}

Function global_lp_pool(const NodeView& node) {
  return [p = static_cast<double>(positive(node, "p", 2))](const Tensors& in) {
    const at::Tensor sum = in[0].abs().pow(p).sum(space_of(in[0]), /*keepdim=*/true);
    return Tensors{sum.pow(1 / p)};
  };
}

}  // namespace

Operators pool_operators() {
  return {
      {"AveragePool", {average_pool, 1, 1}},
      {"LpPool", {lp_pool, 1, 1}},
      {"MaxPool", {max_pool, 1, 1}},
      {"GlobalAveragePool", {global_average_pool, 1, 1}},
      {"GlobalLpPool", {global_lp_pool, 1, 1}},
      {"GlobalMaxPool", {global_max_pool, 1, 1}},
  };
}

}  // namespace tensorquant::onnx_torch
