#include <ATen/ATen.h>

#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Operators that make each element of one of each input.
namespace tensorquant::onnx_torch {
namespace {

using Unary = at::Tensor (*)(const at::Tensor&);
using Binary = at::Tensor (*)(const at::Tensor&, const at::Tensor&);

template <Unary function>
Function unary(const NodeView&) {
  return [](const Tensors& in) { return Tensors{function(in[0])}; };
}

template <Binary function>
Function binary(const NodeView&) {
  return [](const Tensors& in) { return Tensors{function(in[0], in[1])}; };
}

// Of any number of operands.
template <Binary function>
Function variadic(const NodeView&) {
  return [](const Tensors& in) {
    at::Tensor result = in[0];
    for (std::size_t i = 1; i < in.size(); ++i) result = function(result, in[i]);
    return Tensors{result};
  };
}

at::Tensor add(const at::Tensor& a, const at::Tensor& b) { return a + b; }
at::Tensor subtract(const at::Tensor& a, const at::Tensor& b) { return a - b; }
at::Tensor multiply(const at::Tensor& a, const at::Tensor& b) { return a * b; }
// That of integers drops the fraction. The least one by -1, which processors trap on, is itself.
at::Tensor divide(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_floating_point()) return at::div(a, b);
  if (a.scalar_type() != at::kInt && a.scalar_type() != at::kLong) return at::div(a, b, "trunc");
  const at::Tensor turns = b == -1;
  return at::where(turns, -a, at::div(a, b.masked_fill(turns, 1), "trunc"));
}
// Of the base's type.
at::Tensor power(const at::Tensor& a, const at::Tensor& b) {
  return at::pow(a, b).to(a.scalar_type());
}
at::Tensor larger(const at::Tensor& a, const at::Tensor& b) { return at::maximum(a, b); }
at::Tensor smaller(const at::Tensor& a, const at::Tensor& b) { return at::minimum(a, b); }
at::Tensor equal(const at::Tensor& a, const at::Tensor& b) { return at::eq(a, b); }
at::Tensor less(const at::Tensor& a, const at::Tensor& b) { return at::lt(a, b); }
at::Tensor less_or_equal(const at::Tensor& a, const at::Tensor& b) { return at::le(a, b); }
at::Tensor greater(const at::Tensor& a, const at::Tensor& b) { return at::gt(a, b); }
at::Tensor greater_or_equal(const at::Tensor& a, const at::Tensor& b) { return at::ge(a, b); }
at::Tensor conjunction(const at::Tensor& a, const at::Tensor& b) { return at::logical_and(a, b); }
at::Tensor disjunction(const at::Tensor& a, const at::Tensor& b) { return at::logical_or(a, b); }
at::Tensor exclusive(const at::Tensor& a, const at::Tensor& b) { return at::logical_xor(a, b); }
at::Tensor negation(const at::Tensor& x) { return at::logical_not(x); }
at::Tensor identity(const at::Tensor& x) { return x; }
at::Tensor prelu(const at::Tensor& x, const at::Tensor& slope) {
  return at::where(x < 0, x * slope, x);
}

Function where(const NodeView&) {
  return [](const Tensors& in) { return Tensors{at::where(in[0], in[1], in[2])}; };
}

Function cast(const NodeView& node) {
  const auto to = static_cast<onnx::DataType>(node.integer("to", 0));
  return [type = scalar_type_of(to)](const Tensors& in) { return Tensors{in[0].to(type)}; };
}

Function leaky_relu(const NodeView& node) {
  return [slope = node.number("alpha", 0.01)](const Tensors& in) {
    return Tensors{at::leaky_relu(in[0], slope)};
  };
}

Function elu(const NodeView& node) {
  return [alpha = node.number("alpha", 1)](const Tensors& in) {
    return Tensors{at::elu(in[0], alpha)};
  };
}

Function hard_sigmoid(const NodeView& node) {
  return [alpha = node.number("alpha", 0.2), beta = node.number("beta", 0.5)](const Tensors& in) {
    return Tensors{at::clamp(in[0] * alpha + beta, 0, 1)};
  };
}

Function gelu(const NodeView& node) {
  return [approximate = node.text("approximate", "none")](const Tensors& in) {
    return Tensors{at::gelu(in[0], approximate)};
  };
}

// The bounds are attributes before operator set 11, then inputs.
Function clip(const NodeView& node) {
  if (node.version() < 11) {
    const double lowest = node.number("min", std::numeric_limits<float>::lowest());
    const double highest = node.number("max", std::numeric_limits<float>::max());
    return [=](const Tensors& in) { return Tensors{at::clamp(in[0], lowest, highest)}; };
  }
  return [](const Tensors& in) {
    at::Tensor x = in[0];
    if (in.size() > 1 && in[1].defined()) x = at::maximum(x, in[1]);
    if (in.size() > 2 && in[2].defined()) x = at::minimum(x, in[2]);
    return Tensors{x};
  };
}

// In evaluation it passes its input on.
Function dropout(const NodeView& node) {
  if (node.has_output(1)) throw Error("its mask is not supported");
  const at::Tensor training = node.constant(2);
  if (node.has_input(2) && (!training.defined() || training.item<bool>())) {
    throw Error("training mode is not supported");
  }
  return [](const Tensors& in) { return Tensors{in[0]}; };
}

}  // namespace

Operators elementwise_operators() {
  return {
      {"Add", {binary<add>, 2, 2}},
      {"Sub", {binary<subtract>, 2, 2}},
      {"Mul", {binary<multiply>, 2, 2}},
      {"Div", {binary<divide>, 2, 2}},
      {"Pow", {binary<power>, 2, 2}},
      {"Sum", {variadic<add>, 1, kAnyNumber}},
      {"Max", {variadic<larger>, 1, kAnyNumber}},
      {"Min", {variadic<smaller>, 1, kAnyNumber}},
      {"Equal", {binary<equal>, 2, 2}},
      {"Less", {binary<less>, 2, 2}},
      {"LessOrEqual", {binary<less_or_equal>, 2, 2}},
      {"Greater", {binary<greater>, 2, 2}},
      {"GreaterOrEqual", {binary<greater_or_equal>, 2, 2}},
      {"And", {binary<conjunction>, 2, 2}},
      {"Or", {binary<disjunction>, 2, 2}},
      {"Xor", {binary<exclusive>, 2, 2}},
      {"Not", {unary<negation>, 1, 1}},
      {"IsNaN", {unary<at::isnan>, 1, 1}},
      {"Identity", {unary<identity>, 1, 1}},
      {"Neg", {unary<at::neg>, 1, 1}},
      {"Abs", {unary<at::abs>, 1, 1}},
      {"Sqrt", {unary<at::sqrt>, 1, 1}},
      {"Exp", {unary<at::exp>, 1, 1}},
      {"Log", {unary<at::log>, 1, 1}},
      {"Erf", {unary<at::erf>, 1, 1}},
      {"Sin", {unary<at::sin>, 1, 1}},
      {"Cos", {unary<at::cos>, 1, 1}},
      {"Floor", {unary<at::floor>, 1, 1}},
      {"Ceil", {unary<at::ceil>, 1, 1}},
      {"Round", {unary<at::round>, 1, 1}},
      {"Reciprocal", {unary<at::reciprocal>, 1, 1}},
      {"Relu", {unary<at::relu>, 1, 1}},
      {"Sigmoid", {unary<at::sigmoid>, 1, 1}},
      {"Tanh", {unary<at::tanh>, 1, 1}},
      {"HardSwish", {unary<at::hardswish>, 1, 1}},
      {"PRelu", {binary<prelu>, 2, 2}},
      {"Where", {where, 3, 3}},
      {"Cast", {cast, 1, 1}},
      {"LeakyRelu", {leaky_relu, 1, 1}},
      {"Elu", {elu, 1, 1}},
      {"HardSigmoid", {hard_sigmoid, 1, 1}},
      {"Gelu", {gelu, 1, 1}},
      {"Clip", {clip, 1, 3}},
      {"Dropout", {dropout, 1, 3}},
  };
}

}  // namespace tensorquant::onnx_torch
