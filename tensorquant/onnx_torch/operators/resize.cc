#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Images and the like in other sizes, or at other places.
namespace tensorquant::onnx_torch {
namespace {

// How one axis gets its new size.
struct AxisResize {
  std::int64_t size = 0, new_size = 0;
  double scale = 1;
  double roi_begin = 0, roi_end = 1;

  bool changes() const { return new_size != size || scale != 1; }
  double scaled_size() const { return scale * static_cast<double>(size); }
};

// Where in the input the elements of the output lie, by the standard's names.
using Coordinate = double (*)(double i, const AxisResize& axis);

double half_pixel(double i, const AxisResize& axis) { return (i + 0.5) / axis.scale - 0.5; }
double asymmetric(double i, const AxisResize& axis) { return i / axis.scale; }
double half_pixel_symmetric(double i, const AxisResize& axis) {
  const double adjustment = static_cast<double>(axis.new_size) / axis.scaled_size();
  const double centre = static_cast<double>(axis.size) / 2;
  return centre * (1 - adjustment) + half_pixel(i, axis);
}
double pytorch_half_pixel(double i, const AxisResize& axis) {
  return axis.scaled_size() > 1 ? half_pixel(i, axis) : 0;
}
double align_corners(double i, const AxisResize& axis) {
  if (axis.scaled_size() == 1) return 0;
  return i * static_cast<double>(axis.size - 1) / (axis.scaled_size() - 1);
}
double tf_half_pixel_for_nn(double i, const AxisResize& axis) { return (i + 0.5) / axis.scale; }
double tf_crop_and_resize(double i, const AxisResize& axis) {
  const auto last = static_cast<double>(axis.size - 1);
  if (axis.new_size <= 1) return (axis.roi_begin + axis.roi_end) * last / 2;
  const double step = (axis.roi_end - axis.roi_begin) * last / (axis.scaled_size() - 1);
  return axis.roi_begin * last + i * step;
}

Coordinate coordinate_named(const std::string& name) {
  if (name == "half_pixel") return half_pixel;
  if (name == "asymmetric") return asymmetric;
  if (name == "half_pixel_symmetric") return half_pixel_symmetric;
  if (name == "pytorch_half_pixel") return pytorch_half_pixel;
  if (name == "align_corners") return align_corners;
  if (name == "tf_half_pixel_for_nn") return tf_half_pixel_for_nn;
  if (name == "tf_crop_and_resize") return tf_crop_and_resize;
  throw Error("coordinate_transformation_mode '" + name + "' is not known");
}

// The weights of the elements from `first` on, seen from the one at or before a place, which lies
// `rest`, more than 0 and at most 1, beyond it.
struct Taps {
  std::int64_t first = 0;
  std::vector<double> weights;
};
using Interpolation = std::function<Taps(double rest, double scale)>;

double linear_kernel(double distance) { return std::max(0.0, 1 - std::abs(distance)); }
double cubic_kernel(double distance, double a) {
  const double x = std::abs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

// A kernel of `reach` elements to both sides; `stretches`: of more, where the image shrinks.
Interpolation interpolation_by(const std::function<double(double)>& kernel, double reach,
                               bool stretches) {
  return [=](double rest, double scale) {
    const double narrow = stretches ? std::min(scale, 1.0) : 1;
    Taps taps;
    taps.first = static_cast<std::int64_t>(std::floor(-reach / narrow)) + 1;
    const std::int64_t end = 2 - taps.first;
    if (end - taps.first > std::int64_t{1} << 20) throw Error("the image shrinks too much");
    for (std::int64_t i = taps.first; i < end; ++i) {
      taps.weights.push_back(kernel(narrow * (static_cast<double>(i) - rest)));
    }
    return taps;
  };
}

Interpolation nearest_by(const std::string& mode) {
  double limit = 0;  // from which rest on the next element is taken
  if (mode == "round_prefer_floor") {
    limit = 0.5;
  } else if (mode == "round_prefer_ceil") {
    limit = std::nextafter(0.5, 0);
  } else if (mode == "floor") {
    limit = std::nextafter(1.0, 0);
  } else if (mode != "ceil") {
    throw Error("nearest_mode '" + mode + "' is not known");
  }
  return [limit](double rest, double) { return Taps{rest > limit ? 1 : 0, {1}}; };
}

struct Resizing {
  Coordinate coordinate = half_pixel;
  Interpolation taps;
  bool is_nearest = false, excludes_outside = false, crops = false;
  double outside = 0;  // of tf_crop_and_resize
};

// One axis: `indices` and `weights` have the elements of each place in a row.
struct AxisTaps {
  at::Tensor indices, weights;
  at::Tensor is_outside;
};

AxisTaps taps_of(const Resizing& resizing, const AxisResize& axis) {
  if (axis.new_size > std::int64_t{1} << 28) throw Error("an axis of more than 2^28 elements");
  std::vector<std::int64_t> indices;
  std::vector<double> weights;
  std::vector<std::uint8_t> outside;
  for (std::int64_t i = 0; i < axis.new_size; ++i) {
    const double place = resizing.coordinate(static_cast<double>(i), axis);
    if (!(std::abs(place) < 1e15)) throw Error("a scale or region that is no number to use");
    outside.push_back(place < 0 || place > static_cast<double>(axis.size - 1));
    const double begin = std::ceil(place) - 1;
    Taps taps = resizing.taps(place - begin, axis.scale);
    double sum = 0;
    for (std::size_t k = 0; k < taps.weights.size(); ++k) {
      const std::int64_t index =
          static_cast<std::int64_t>(begin) + taps.first + static_cast<std::int64_t>(k);
      const bool inside = index >= 0 && index < axis.size;
      if (resizing.excludes_outside && !inside) taps.weights[k] = 0;
      sum += taps.weights[k];
      indices.push_back(std::clamp<std::int64_t>(index, 0, axis.size - 1));
    }
    for (const double weight : taps.weights) weights.push_back(weight / sum);
  }
  const auto rows = axis.new_size;
  return {at::tensor(indices, at::kLong).reshape({rows, -1}),
          at::tensor(weights, at::kDouble).reshape({rows, -1}),
          at::tensor(outside, at::kByte).to(at::kBool)};
}

at::Tensor along_axis(const at::Tensor& values, const at::Tensor& x, std::int64_t axis) {
  Integers sizes(static_cast<std::size_t>(x.dim()), 1);
  sizes[static_cast<std::size_t>(axis)] = values.numel();
  return values.reshape(sizes);
}

at::Tensor resized_along(const at::Tensor& x, std::int64_t axis, const AxisTaps& taps) {
  const std::int64_t count = taps.indices.size(1);
  at::Tensor y;
  for (std::int64_t k = 0; k < count; ++k) {
    const at::Tensor element = x.index_select(axis, taps.indices.select(1, k).contiguous());
    if (count == 1) return element;
    const at::Tensor weight = along_axis(taps.weights.select(1, k), x, axis).to(x.scalar_type());
    y = y.defined() ? y.addcmul(element, weight) : element * weight;
  }
  return y;
}

at::Tensor resized(const at::Tensor& x, const std::vector<AxisResize>& axes,
                   const Resizing& resizing) {
  Integers sizes;
  for (const AxisResize& axis : axes) sizes.push_back(axis.new_size);
  check_size(sizes, x.scalar_type());
  if (x.numel() == 0) throw Error("there is nothing to resize");
  at::Tensor y = x.is_floating_point() || resizing.is_nearest ? x : x.to(at::kFloat);
  at::Tensor is_outside;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (!axes[i].changes() && !resizing.crops) continue;
    if (axes[i].new_size == 0) continue;
    const auto axis = static_cast<std::int64_t>(i);
    const AxisTaps taps = taps_of(resizing, axes[i]);
    y = resized_along(y, axis, taps);
    if (!resizing.crops) continue;
    const at::Tensor here = along_axis(taps.is_outside, x, axis);
    is_outside = is_outside.defined() ? at::logical_or(is_outside, here) : here;
  }
  if (is_outside.defined()) y = y.masked_fill(is_outside, resizing.outside);
  return y.to(x.scalar_type());
}

Resizing resizing_of(const NodeView& node) {
  Resizing resizing;
  const std::string mode = node.text("mode", "nearest");
  const bool is_old = node.version() < 11;  // before it there was one way
  const std::string coordinate =
      node.text("coordinate_transformation_mode", is_old ? "asymmetric" : "half_pixel");
  const bool stretches = node.integer("antialias", 0) != 0;
  resizing.coordinate = coordinate_named(coordinate);
  resizing.crops = coordinate == "tf_crop_and_resize";
  resizing.outside = node.number("extrapolation_value", 0);
  resizing.excludes_outside = node.integer("exclude_outside", 0) != 0;
  if (mode == "nearest") {
    resizing.is_nearest = true;
    resizing.taps = nearest_by(node.text("nearest_mode", is_old ? "floor" : "round_prefer_floor"));
  } else if (mode == "linear" || mode == "bilinear") {
    resizing.taps = interpolation_by(linear_kernel, 1, stretches);
  } else if (mode == "cubic") {
    const double a = node.number("cubic_coeff_a", -0.75);
    resizing.taps =
        interpolation_by([a](double distance) { return cubic_kernel(distance, a); }, 2, stretches);
  } else {
    throw Error("mode '" + mode + "' is not known");
  }
  return resizing;
}

std::vector<double> numbers_of(const at::Tensor& x) {
  const at::Tensor flat = x.to(at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

std::int64_t whole_size(double size) {
  if (!(size >= 0 && size < 1e15)) throw Error("a scale that is no number to use");
  return static_cast<std::int64_t>(size);
}

// Which input holds what: the region came with operator set 11.
struct ResizeInputs {
  std::size_t roi = SIZE_MAX, scales = 1, sizes = SIZE_MAX;
};

// The sizes told; one scale for all axes where the image is to keep its proportions.
void take_sizes(std::vector<AxisResize>& all, const Integers& axes, const Integers& sizes,
                const std::string& policy) {
  std::vector<double> scales;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    AxisResize& axis = all[static_cast<std::size_t>(axes[i])];
    axis.new_size = sizes[i];
    axis.scale = static_cast<double>(sizes[i]) / static_cast<double>(axis.size);
    scales.push_back(axis.scale);
  }
  if (policy == "stretch" || scales.empty()) return;
  const bool larger = policy == "not_smaller";
  const double scale = larger ? *std::max_element(scales.begin(), scales.end())
                              : *std::min_element(scales.begin(), scales.end());
  for (const std::int64_t place : axes) {
    AxisResize& axis = all[static_cast<std::size_t>(place)];
    axis.scale = scale;
    axis.new_size = whole_size(axis.scaled_size() + 0.5);
  }
}

std::vector<AxisResize> axes_to_resize(const Tensors& in, const ResizeInputs& inputs,
                                       const Integers& told_axes, const std::string& policy) {
  std::vector<AxisResize> all;
  for (const std::int64_t size : in[0].sizes()) all.push_back({size, size});
  const Integers axes = all_axes_of(told_axes, in[0].dim());
  const auto require = [&](std::size_t count, std::size_t each, const char* what) {
    if (count == axes.size() * each) return;
    throw Error(std::string(what) + ": expected " + std::to_string(axes.size() * each) +
                ", found " + std::to_string(count));
  };
  if (is_given(in, inputs.sizes) && in[inputs.sizes].numel() > 0) {
    const Integers sizes = integers_of(in[inputs.sizes]);
    require(sizes.size(), 1, "sizes");
    take_sizes(all, axes, sizes, policy);
  } else {
    if (!is_given(in, inputs.scales)) throw Error("it has neither scales nor sizes");
    const std::vector<double> scales = numbers_of(in[inputs.scales]);
    require(scales.size(), 1, "scales");
    for (std::size_t i = 0; i < axes.size(); ++i) {
      AxisResize& axis = all[static_cast<std::size_t>(axes[i])];
      axis.scale = scales[i];
      axis.new_size = whole_size(axis.scaled_size());
    }
  }
  if (is_given(in, inputs.roi) && in[inputs.roi].numel() > 0) {
    const std::vector<double> roi = numbers_of(in[inputs.roi]);
    require(roi.size(), 2, "roi");
    for (std::size_t i = 0; i < axes.size(); ++i) {
      all[static_cast<std::size_t>(axes[i])].roi_begin = roi[i];
      all[static_cast<std::size_t>(axes[i])].roi_end = roi[axes.size() + i];
    }
  }
  return all;
}

Function resize(const NodeView& node) {
  const ResizeInputs inputs = node.version() < 11 ? ResizeInputs{} : ResizeInputs{1, 2, 3};
  const Integers axes = node.integers("axes");
  const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch" && policy != "not_smaller" && policy != "not_larger") {
    throw Error("keep_aspect_ratio_policy '" + policy + "' is not known");
  }
  return [=, resizing = resizing_of(node)](const Tensors& in) {
    return Tensors{resized(in[0], axes_to_resize(in, inputs, axes, policy), resizing)};
  };
}

// Resize as it was before operator set 10; the scales were an attribute before 9.
Function upsample(const NodeView& node) {
  const std::vector<double> attribute = node.numbers("scales");
  return [attribute, resizing = resizing_of(node)](const Tensors& in) {
    Tensors inputs = in;
    if (!is_given(in, 1)) inputs = {in[0], at::tensor(attribute, at::kDouble)};
    return Tensors{resized(in[0], axes_to_resize(inputs, {}, {}, "stretch"), resizing)};
  };
}

// The input at places that run from -1 to 1 along each axis.
Function grid_sample(const NodeView& node) {
  const std::string mode = node.text("mode", "linear");
  const std::string padding = node.text("padding_mode", "zeros");
  const bool align_corners = node.integer("align_corners", 0) != 0;
  const auto number = [](const std::string& what, std::initializer_list<const char*> names) {
    const auto found = std::find(names.begin(), names.end(), what);
    if (found == names.end()) throw Error("mode '" + what + "' is not known");
    return static_cast<std::int64_t>(found - names.begin());
  };
  // libtorch's numbers for them.
  const std::int64_t interpolation = mode == "bilinear" ? 0
                                     : mode == "bicubic"
                                         ? 2
                                         : number(mode, {"linear", "nearest", "cubic"});
  const std::int64_t outside = number(padding, {"zeros", "border", "reflection"});
  return [=](const Tensors& in) {
    if (in[0].dim() == 5 && interpolation == 2) {
      throw Error("mode 'cubic' of 5 dimensions is not supported");
    }
    return Tensors{at::grid_sampler(in[0], in[1], interpolation, outside, align_corners)};
  };
}

}  // namespace

Operators resize_operators() {
  return {
      {"Resize", {resize, 1, 4}},
      {"Upsample", {upsample, 1, 2}},
      {"GridSample", {grid_sample, 2, 2}},
  };
}

}  // namespace tensorquant::onnx_torch
