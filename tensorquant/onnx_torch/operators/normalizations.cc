#include <ATen/ATen.h>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

namespace tensorquant::onnx_torch {
namespace {

Function batch_normalization(const NodeView& node) {
  if (node.integer("training_mode", 0) != 0 || node.has_output(1)) {
    throw Error("training mode is not supported");
  }
  return [epsilon = node.number("epsilon", 1e-5)](const Tensors& in) {
    return Tensors{at::batch_norm(in[0], in[1], in[2], in[3], in[4], /*training=*/false,
                                  /*momentum=*/0, epsilon, /*cudnn_enabled=*/false)};
  };
}

Function instance_normalization(const NodeView& node) {
  return [epsilon = node.number("epsilon", 1e-5)](const Tensors& in) {
    return Tensors{at::instance_norm(in[0], in[1], in[2], {}, {}, /*use_input_stats=*/true,
                                     /*momentum=*/0, epsilon, /*cudnn_enabled=*/false)};
  };
}

// Over the axes from `axis` on. Mean and the reciprocal of the deviation are its further outputs.
Function layer_normalization(const NodeView& node) {
  const double epsilon = node.number("epsilon", 1e-5);
  const bool statistics = node.has_output(1) || node.has_output(2);
  return [=, told = node.integer("axis", -1)](const Tensors& in) {
    const std::int64_t axis = axis_of(told, in[0].dim());
    const Integers sizes = in[0].sizes().slice(static_cast<std::size_t>(axis)).vec();
    const auto fitting = [&](std::size_t i) {
      return is_given(in, i) ? in[i].expand(sizes) : at::Tensor();
    };
    if (!statistics) return Tensors{at::layer_norm(in[0], sizes, fitting(1), fitting(2), epsilon)};
    auto [y, mean, reciprocal] =
        at::native_layer_norm(in[0], sizes, fitting(1).contiguous(),
                              is_given(in, 2) ? fitting(2).contiguous() : at::Tensor(), epsilon);
    return Tensors{y, mean, reciprocal};
  };
}

Function group_normalization(const NodeView& node) {
  const std::int64_t groups = positive(node, "num_groups", 1);
  const double epsilon = node.number("epsilon", 1e-5);
  const bool of_groups = node.version() < 21;  // scale and bias: one for each group
  return [=](const Tensors& in) {
    if (in[0].dim() < 2 || in[0].size(1) % groups != 0) {
      throw Error("there are no " + std::to_string(groups) + " equal groups of channels");
    }
    const auto of_channels = [&](const at::Tensor& x) {
      return of_groups ? x.repeat_interleave(in[0].size(1) / groups) : x;
    };
    return Tensors{at::group_norm(in[0], groups, of_channels(in[1]), of_channels(in[2]), epsilon)};
  };
}

// Over the root of the mean square of the axes from `axis` on.
Function rms_normalization(const NodeView& node) {
  const double epsilon = node.number("epsilon", 1e-5);
  return [=, told = node.integer("axis", -1)](const Tensors& in) {
    const at::Tensor& x = in[0];
    Integers axes;
    for (std::int64_t i = axis_of(told, x.dim()); i < x.dim(); ++i) axes.push_back(i);
    const at::Tensor mean_square = (x * x).mean(axes, /*keepdim=*/true);
    return Tensors{x * at::rsqrt(mean_square + epsilon) * in[1]};
  };
}

// To a mean of 0 and a variance of 1 along the axes.
Function mean_variance_normalization(const NodeView& node) {
  return [axes = node.integers("axes", {0, 2, 3})](const Tensors& in) {
    constexpr double kEpsilon = 1e-9;  // the standard's
    const at::Tensor centred = in[0] - in[0].mean(axes, /*keepdim=*/true);
    const at::Tensor variance = (centred * centred).mean(axes, /*keepdim=*/true);
    return Tensors{centred / (variance.sqrt() + kEpsilon)};
  };
}

// Over the sum of the sizes along an axis, or the root of that of the squares. 0 stays 0.
Function lp_normalization(const NodeView& node) {
  const std::int64_t p = node.integer("p", 2);
  if (p != 1 && p != 2) throw Error("attribute 'p': expected 1 or 2, found " + std::to_string(p));
  return [p, told = node.integer("axis", -1)](const Tensors& in) {
    const std::int64_t axis = axis_of(told, in[0].dim());
    const at::Tensor norm = p == 1 ? in[0].abs().sum(axis, /*keepdim=*/true)
                                   : (in[0] * in[0]).sum(axis, /*keepdim=*/true).sqrt();
    return Tensors{at::where(norm == 0, at::zeros_like(in[0]), in[0] / norm)};
  };
}

// Each number over the root of the mean square of its neighbours' channels.
Function local_response_normalization(const NodeView& node) {
  const std::int64_t size = positive(node, "size", 1);
  const double alpha = node.number("alpha", 1e-4), beta = node.number("beta", 0.75);
  const double bias = node.number("bias", 1);
  return [=](const Tensors& in) {
    const at::Tensor& x = in[0];
    const at::Tensor squares = (x * x).flatten(2).unsqueeze(1);  // (n, 1, c, space)
    const at::Tensor wide =
        at::constant_pad_nd(squares, {0, 0, (size - 1) / 2, size - 1 - (size - 1) / 2});
    const at::Tensor mean = at::avg_pool2d(wide, {size, 1}, {1, 1}).squeeze(1).reshape(x.sizes());
    return Tensors{x / at::pow(mean * alpha + bias, beta)};
  };
}

}  // namespace

Operators normalization_operators() {
  return {
      {"BatchNormalization", {batch_normalization, 5, 5}},
      {"InstanceNormalization", {instance_normalization, 3, 3}},
      {"LayerNormalization", {layer_normalization, 2, 3}},
      {"GroupNormalization", {group_normalization, 3, 3}},
      {"RMSNormalization", {rms_normalization, 2, 2}},
      {"MeanVarianceNormalization", {mean_variance_normalization, 1, 1}},
      {"LpNormalization", {lp_normalization, 1, 1}},
      {"LRN", {local_response_normalization, 1, 1}},
  };
}

}  // namespace tensorquant::onnx_torch
