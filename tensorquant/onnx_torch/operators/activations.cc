#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <limits>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Activations: functions of each element of one input.
namespace tensorquant::onnx_torch {
namespace {

template <at::Tensor (*function)(const at::Tensor&)>
Function activation(const NodeView&) {
  return [](const Tensors& in) { return Tensors{function(in[0])}; };
}

// The same where the input is no longer needed: the result goes there.
template <at::Tensor (*function)(const at::Tensor&), at::Tensor& (*overwrite)(at::Tensor&)>
Function activation(const NodeView&) {
  return [](Tensors in) {
    if (may_overwrite(in[0], in[0].sizes())) return Tensors{overwrite(in[0])};
    return Tensors{function(in[0])};
  };
}

at::Tensor clamped(at::Tensor x, const c10::optional<at::Scalar>& lowest,
                   const c10::optional<at::Scalar>& highest) {
  return may_overwrite(x, x.sizes()) ? x.clamp_(lowest, highest) : at::clamp(x, lowest, highest);
}

at::Tensor softplus(const at::Tensor& x) { return at::softplus(x); }
at::Tensor softsign(const at::Tensor& x) { return x / (1 + at::abs(x)); }

Function prelu(const NodeView&) {
  return [](const Tensors& in) { return Tensors{at::where(in[0] < 0, in[0] * in[1], in[0])}; };
}

Function leaky_relu(const NodeView& node) {
  return [slope = node.number("alpha", 0.01)](const Tensors& in) {
    return Tensors{at::leaky_relu(in[0], slope)};
  };
}

Function thresholded_relu(const NodeView& node) {
  return [alpha = node.number("alpha", 1)](const Tensors& in) {
    return Tensors{in[0].masked_fill(in[0] <= alpha, 0)};
  };
}

Function elu(const NodeView& node) {
  return [alpha = node.number("alpha", 1)](const Tensors& in) {
    return Tensors{at::elu(in[0], alpha)};
  };
}

Function celu(const NodeView& node) {
  return [alpha = node.number("alpha", 1)](const Tensors& in) {
    return Tensors{at::celu(in[0], alpha)};
  };
}

Function selu(const NodeView& node) {
  const double alpha = node.number("alpha", 1.67326319217681884765625);
  const double gamma = node.number("gamma", 1.05070102214813232421875);
  return [=](const Tensors& in) { return Tensors{at::elu(in[0], alpha, gamma)}; };
}

Function swish(const NodeView& node) {
  return [alpha = node.number("alpha", 1)](const Tensors& in) {
    return Tensors{in[0] * at::sigmoid(in[0] * alpha)};
  };
}

// Nothing within lambd of 0; the others move by bias towards it.
Function shrink(const NodeView& node) {
  const double bias = node.number("bias", 0), limit = node.number("lambd", 0.5);
  return [=](const Tensors& in) {
    const at::Tensor& x = in[0];
    const at::Tensor moved = at::where(x < 0, x + bias, x - bias).to(x.scalar_type());
    return Tensors{moved.masked_fill(at::logical_and(x >= -limit, x <= limit), 0)};
  };
}

Function hard_sigmoid(const NodeView& node) {
  return [alpha = node.number("alpha", 0.2), beta = node.number("beta", 0.5)](const Tensors& in) {
    at::Tensor y = in[0] * alpha;
    y = at::GradMode::is_enabled() ? y + beta : y.add_(beta);
    return Tensors{clamped(std::move(y), 0, 1)};
  };
}

Function gelu(const NodeView& node) {
  return [approximate = node.text("approximate", "none")](const Tensors& in) {
    return Tensors{at::gelu(in[0], approximate)};
  };
}

// A bound of a Clip that is known before the model runs.
c10::optional<at::Scalar> bound_of(const NodeView& node, std::size_t i) {
  const at::Tensor bound = node.constant(i);
  return bound.defined() ? c10::optional<at::Scalar>(bound.item()) : c10::nullopt;
}

// The bounds are attributes before operator set 11, then inputs.
Function clip(const NodeView& node) {
  if (node.version() < 11) {
    const double lowest = node.number("min", std::numeric_limits<float>::lowest());
    const double highest = node.number("max", std::numeric_limits<float>::max());
    return [=](Tensors in) { return Tensors{clamped(std::move(in[0]), lowest, highest)}; };
  }
  const auto is_known = [&](std::size_t i) {
    return !node.has_input(i) || (node.constant(i).defined() && node.constant(i).numel() == 1);
  };
  if (is_known(1) && is_known(2) && (node.has_input(1) || node.has_input(2))) {
    return [lowest = bound_of(node, 1), highest = bound_of(node, 2)](Tensors in) {
      return Tensors{clamped(std::move(in[0]), lowest, highest)};
    };
  }
  return [](const Tensors& in) {
    at::Tensor x = in[0];
    if (is_given(in, 1)) x = at::maximum(x, in[1]);
    if (is_given(in, 2)) x = at::minimum(x, in[2]);
    return Tensors{x};
  };
}

// In evaluation, or where it drops nothing, it passes its input on.
Function dropout(const NodeView& node) {
  const double attribute = node.number("ratio", 0.5);
  return [attribute](const Tensors& in) {
    const double ratio = is_given(in, 1) ? in[1].item<double>() : attribute;
    if (is_given(in, 2) && in[2].item<bool>() && ratio != 0) {
      throw Error("training mode is not supported");
    }
    return Tensors{in[0], at::ones(in[0].sizes(), at::kBool)};
  };
}

// Over one axis; before operator set 13 over all from that axis on.
template <at::Tensor (*function)(const at::Tensor&, std::int64_t)>
Function over_axis(const NodeView& node) {
  const bool flattens = node.version() < 13;
  const std::int64_t axis = node.integer("axis", flattens ? 1 : -1);
  return [=](const Tensors& in) {
    const at::Tensor& x = in[0];
    if (!flattens) return Tensors{function(x, axis)};
    const std::int64_t first = axis_of(axis, x.dim());
    return Tensors{function(x.flatten(first), first).reshape(x.sizes())};
  };
}

at::Tensor softmax(const at::Tensor& x, std::int64_t axis) { return at::softmax(x, axis); }
at::Tensor log_softmax(const at::Tensor& x, std::int64_t axis) { return at::log_softmax(x, axis); }
// 1 at the first of the largest.
at::Tensor hardmax(const at::Tensor& x, std::int64_t axis) {
  return at::zeros_like(x).scatter(axis, x.argmax(axis, /*keepdim=*/true), 1);
}

}  // namespace

Operators activation_operators() {
  return {
      {"Relu", {activation<at::relu, at::relu_>, 1, 1}},
      {"Sigmoid", {activation<at::sigmoid, at::sigmoid_>, 1, 1}},
      {"Tanh", {activation<at::tanh, at::tanh_>, 1, 1}},
      {"HardSwish", {activation<at::hardswish, at::hardswish_>, 1, 1}},
      {"Mish", {activation<at::mish>, 1, 1}},
      {"Softplus", {activation<softplus>, 1, 1}},
      {"Softsign", {activation<softsign>, 1, 1}},
      {"PRelu", {prelu, 2, 2}},
      {"LeakyRelu", {leaky_relu, 1, 1}},
      {"ThresholdedRelu", {thresholded_relu, 1, 1}},
      {"Elu", {elu, 1, 1}},
      {"Celu", {celu, 1, 1}},
      {"Selu", {selu, 1, 1}},
      {"Swish", {swish, 1, 1}},
      {"Shrink", {shrink, 1, 1}},
      {"HardSigmoid", {hard_sigmoid, 1, 1}},
      {"Gelu", {gelu, 1, 1}},
      {"Clip", {clip, 1, 3}},
      {"Dropout", {dropout, 1, 3}},
      {"Softmax", {over_axis<softmax>, 1, 1}},
      {"LogSoftmax", {over_axis<log_softmax>, 1, 1}},
      {"Hardmax", {over_axis<hardmax>, 1, 1}},
  };
}

}  // namespace tensorquant::onnx_torch
