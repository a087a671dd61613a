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
// That of integers drops the fraction.
at::Tensor divide(const at::Tensor& a, const at::Tensor& b) {
  return a.is_floating_point() ? at::div(a, b) : at::div(a, b, "trunc");
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

Makers elementwise_operators() {
  return {
      {"Add", binary<add>},
      {"Sub", binary<subtract>},
      {"Mul", binary<multiply>},
      {"Div", binary<divide>},
      {"Pow", binary<power>},
      {"Sum", variadic<add>},
      {"Max", variadic<larger>},
      {"Min", variadic<smaller>},
      {"Equal", binary<equal>},
      {"Less", binary<less>},
      {"LessOrEqual", binary<less_or_equal>},
      {"Greater", binary<greater>},
      {"GreaterOrEqual", binary<greater_or_equal>},
      {"And", binary<conjunction>},
      {"Or", binary<disjunction>},
      {"Xor", binary<exclusive>},
      {"Not", unary<negation>},
      {"IsNaN", unary<at::isnan>},
      {"Identity", unary<identity>},
      {"Neg", unary<at::neg>},
      {"Abs", unary<at::abs>},
      {"Sqrt", unary<at::sqrt>},
      {"Exp", unary<at::exp>},
      {"Log", unary<at::log>},
      {"Erf", unary<at::erf>},
      {"Sin", unary<at::sin>},
      {"Cos", unary<at::cos>},
      {"Floor", unary<at::floor>},
      {"Ceil", unary<at::ceil>},
      {"Round", unary<at::round>},
      {"Reciprocal", unary<at::reciprocal>},
      {"Relu", unary<at::relu>},
      {"Sigmoid", unary<at::sigmoid>},
      {"Tanh", unary<at::tanh>},
      {"HardSwish", unary<at::hardswish>},
      {"PRelu", binary<prelu>},
      {"Where", where},
      {"Cast", cast},
      {"LeakyRelu", leaky_relu},
      {"Elu", elu},
      {"HardSigmoid", hard_sigmoid},
      {"Gelu", gelu},
      {"Clip", clip},
      {"Dropout", dropout},
  };
}

}  // namespace tensorquant::onnx_torch
