#include <ATen/ATen.h>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Operators that make each element of one of each input: arithmetic, comparisons, bits.
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

// The same for a function that may write its result over an operand.
using InPlace = at::Tensor& (*)(at::Tensor& a, const at::Tensor& b);

// Where an operand is no longer needed the result goes there: no memory is taken.
template <Binary function, InPlace overwrite, InPlace overwrite_second = nullptr>
Function binary(const NodeView&) {
  return [](Tensors in) {
    at::Tensor &a = in[0], &b = in[1];
    if (a.is_floating_point() && a.scalar_type() == b.scalar_type()) {
      const std::vector<std::int64_t> sizes = at::infer_size(a.sizes(), b.sizes());
      if (may_overwrite(a, sizes)) return Tensors{overwrite(a, b)};
      if constexpr (overwrite_second != nullptr) {
        if (may_overwrite(b, sizes)) return Tensors{overwrite_second(b, a)};
      }
    }
    return Tensors{function(a, b)};
  };
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
at::Tensor& add_to(at::Tensor& a, const at::Tensor& b) { return a.add_(b); }
at::Tensor& subtract_from(at::Tensor& a, const at::Tensor& b) { return a.sub_(b); }
at::Tensor& multiply_by(at::Tensor& a, const at::Tensor& b) { return a.mul_(b); }
at::Tensor& divide_by(at::Tensor& a, const at::Tensor& b) { return a.div_(b); }
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

at::Tensor bits_of_both(const at::Tensor& a, const at::Tensor& b) { return at::bitwise_and(a, b); }
at::Tensor bits_of_either(const at::Tensor& a, const at::Tensor& b) { return at::bitwise_or(a, b); }
at::Tensor bits_of_one(const at::Tensor& a, const at::Tensor& b) { return at::bitwise_xor(a, b); }

Function mean_of_all(const NodeView& node) {
  return [sum = variadic<add>(node)](const Tensors& in) {
    return Tensors{sum(in).front() / static_cast<double>(in.size())};
  };
}

// The remainder has the divisor's sign, with fmod the dividend's. By -1, which processors trap on
// for the least integer, it is 0.
Function mod(const NodeView& node) {
  const bool of_dividend = node.integer("fmod", 0) != 0;
  return [of_dividend](const Tensors& in) {
    const at::Tensor& a = in[0];
    const at::Tensor b = a.is_floating_point() ? in[1] : in[1].masked_fill(in[1] == -1, 1);
    return Tensors{of_dividend ? at::fmod(a, b) : at::remainder(a, b)};
  };
}

// By as many bits as a number has, or more, nothing is left but the sign; by less than 0 as well.
Function bit_shift(const NodeView& node) {
  const std::string direction = node.text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") {
    throw Error("attribute 'direction': expected LEFT or RIGHT, found '" + direction + "'");
  }
  return [left = direction == "LEFT"](const Tensors& in) {
    const auto bits = static_cast<std::int64_t>(in[0].element_size() * 8);
    const at::Tensor is_far = at::logical_or(in[1] < 0, in[1] >= bits);
    const at::Tensor by = in[1].masked_fill(is_far, bits - 1);
    const at::Tensor shifted =
        left ? at::bitwise_left_shift(in[0], by) : at::bitwise_right_shift(in[0], by);
    const bool keeps_sign = !left && in[0].scalar_type() != at::kByte;
    return Tensors{keeps_sign ? shifted : shifted.masked_fill(is_far, 0)};
  };
}

Function is_infinite(const NodeView& node) {
  const bool negative = node.integer("detect_negative", 1) != 0;
  const bool positive = node.integer("detect_positive", 1) != 0;
  return [=](const Tensors& in) {
    at::Tensor found = at::isinf(in[0]);
    if (!negative) found = at::logical_and(found, in[0] > 0);
    if (!positive) found = at::logical_and(found, in[0] < 0);
    return Tensors{found};
  };
}

Function where(const NodeView&) {
  return [](const Tensors& in) { return Tensors{at::where(in[0], in[1], in[2])}; };
}

Function cast(const NodeView& node) {
  const auto to = static_cast<onnx::DataType>(node.integer("to", 0));
  return [type = scalar_type_of(to)](const Tensors& in) { return Tensors{in[0].to(type)}; };
}

Function cast_like(const NodeView&) {
  return [](const Tensors& in) { return Tensors{in[0].to(in[1].scalar_type())}; };
}

}  // namespace

Operators arithmetic_operators() {
  return {
      {"Add", {binary<add, add_to, add_to>, 2, 2}},
      {"Sub", {binary<subtract, subtract_from>, 2, 2}},
      {"Mul", {binary<multiply, multiply_by, multiply_by>, 2, 2}},
      {"Div", {binary<divide, divide_by>, 2, 2}},
      {"Mod", {mod, 2, 2}},
      {"Pow", {binary<power>, 2, 2}},
      {"Sum", {variadic<add>, 1, kAnyNumber}},
      {"Mean", {mean_of_all, 1, kAnyNumber}},
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
      {"BitShift", {bit_shift, 2, 2}},
      {"BitwiseAnd", {binary<bits_of_both>, 2, 2}},
      {"BitwiseOr", {binary<bits_of_either>, 2, 2}},
      {"BitwiseXor", {binary<bits_of_one>, 2, 2}},
      {"BitwiseNot", {unary<at::bitwise_not>, 1, 1}},
      {"IsNaN", {unary<at::isnan>, 1, 1}},
      {"IsInf", {is_infinite, 1, 1}},
      {"Identity", {unary<identity>, 1, 1}},
      {"Neg", {unary<at::neg>, 1, 1}},
      {"Abs", {unary<at::abs>, 1, 1}},
      {"Sign", {unary<at::sign>, 1, 1}},
      {"Sqrt", {unary<at::sqrt>, 1, 1}},
      {"Exp", {unary<at::exp>, 1, 1}},
      {"Log", {unary<at::log>, 1, 1}},
      {"Erf", {unary<at::erf>, 1, 1}},
      {"Sin", {unary<at::sin>, 1, 1}},
      {"Cos", {unary<at::cos>, 1, 1}},
      {"Tan", {unary<at::tan>, 1, 1}},
      {"Asin", {unary<at::asin>, 1, 1}},
      {"Acos", {unary<at::acos>, 1, 1}},
      {"Atan", {unary<at::atan>, 1, 1}},
      {"Sinh", {unary<at::sinh>, 1, 1}},
      {"Cosh", {unary<at::cosh>, 1, 1}},
      {"Asinh", {unary<at::asinh>, 1, 1}},
      {"Acosh", {unary<at::acosh>, 1, 1}},
      {"Atanh", {unary<at::atanh>, 1, 1}},
      {"Floor", {unary<at::floor>, 1, 1}},
      {"Ceil", {unary<at::ceil>, 1, 1}},
      {"Round", {unary<at::round>, 1, 1}},
      {"Reciprocal", {unary<at::reciprocal>, 1, 1}},
      {"Where", {where, 3, 3}},
  };
}

Operators conversion_operators() {
  return {{"Cast", {cast, 1, 1}}, {"CastLike", {cast_like, 2, 2}}};
}

}  // namespace tensorquant::onnx_torch
