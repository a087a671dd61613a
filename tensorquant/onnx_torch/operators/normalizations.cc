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

// Over the axes from `axis` on.
Function layer_normalization(const NodeView& node) {
  if (node.has_output(1) || node.has_output(2))
    throw Error("its mean and deviation are not supported");
  const double epsilon = node.number("epsilon", 1e-5);
  return [=, told = node.integer("axis", -1)](const Tensors& in) {
    const std::int64_t axis = axis_of(told, in[0].dim());
    const Integers sizes = in[0].sizes().slice(static_cast<std::size_t>(axis)).vec();
    const auto fitting = [&](std::size_t i) {
      return in.size() > i && in[i].defined() ? in[i].expand(sizes) : at::Tensor();
    };
    return Tensors{at::layer_norm(in[0], sizes, fitting(1), fitting(2), epsilon)};
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
      {"LRN", {local_response_normalization, 1, 1}},
  };
}

}  // namespace tensorquant::onnx_torch
