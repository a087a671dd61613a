#include "tensorquant/onnx_torch/rounded_nodes.h"

#include <ATen/ATen.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/arithmetic/linear_and_convolution.h"
#include "tensorquant/libtorch/arithmetic/normalization.h"
#include "tensorquant/libtorch/arithmetic/pools.h"
#include "tensorquant/libtorch/arithmetic/values.h"

namespace tensorquant::onnx_torch {
namespace {

using RoundedMaker = RoundedFunction (*)(const NodeView&);
using RoundedBinary = at::Tensor (*)(const LayerArithmetic&, const at::Tensor&, const at::Tensor&);
using RoundedSoftmax = at::Tensor (*)(const LayerArithmetic&, const at::Tensor&, std::int64_t);

template <tensorquant::Function function>
RoundedFunction round_unary(const NodeView&) {
  return [](const LayerArithmetic& layer, const Tensors& in) {
    return rounded_function(layer, function, in[0]);
  };
}

template <RoundedBinary function>
RoundedFunction round_binary(const NodeView&) {
  return
      [](const LayerArithmetic& layer, const Tensors& in) { return function(layer, in[0], in[1]); };
}

RoundedFunction round_gelu(const NodeView& node) {
  return node.text("approximate", "none") == "tanh"
             ? round_unary<tensorquant::Function::gelu_tanh>(node)
             : round_unary<tensorquant::Function::gelu>(node);
}

// alpha A B + beta C: the sum of products, times alpha, plus beta C, which is computed in float. A
// row is the bias of a linear layer where nothing stands between.
RoundedFunction round_gemm(const NodeView& node) {
  const double alpha = node.number("alpha", 1), beta = node.number("beta", 1);
  const bool turns_a = node.integer("transA", 0) != 0, turns_b = node.integer("transB", 0) != 0;
  return [=](const LayerArithmetic& layer, const Tensors& in) {
    const at::Tensor a = turns_a ? in[0].t() : in[0], weight = turns_b ? in[1] : in[1].t();
    const bool adds = in.size() > 2 && in[2].defined();
    const at::Tensor c = adds && beta != 1 ? in[2] * beta : adds ? in[2] : at::Tensor();
    const bool is_row =
        adds && c.dim() > 0 && c.size(-1) == c.numel() && c.numel() == weight.size(0);
    if (alpha == 1 && (is_row || !adds)) {
      return rounded_linear(layer, a, weight, adds ? c.reshape({-1}) : c);
    }
    at::Tensor y = rounded_linear(layer, a, weight, {});
    if (alpha != 1) y = rounded_scale(layer.operation(1), y, alpha);
    return adds ? rounded_add(layer.operation(alpha != 1 ? 2 : 1), y, c) : y;
  };
}

RoundedFunction round_leaky_relu(const NodeView& node) {
  return [slope = node.number("alpha", 0.01)](const LayerArithmetic& layer, const Tensors& in) {
    return rounded_leaky_relu(layer, in[0], slope);
  };
}

RoundedFunction round_hard_sigmoid(const NodeView& node) {
  const bool is_usual =
      static_cast<float>(node.number("alpha", 0.2)) == 1 / 6.0F && node.number("beta", 0.5) == 0.5;
  return is_usual ? round_unary<tensorquant::Function::hardsigmoid>(node) : RoundedFunction();
}

RoundedFunction round_prelu(const NodeView&) {
  return [](const LayerArithmetic& layer, const Tensors& in) {
    const at::Tensor product = rounded_multiply(layer, in[0], in[1]);
    return at::where(in[0] > 0, in[0], product).contiguous();
  };
}

// Operand by operand.
RoundedFunction round_sum(const NodeView&) {
  return [](const LayerArithmetic& layer, const Tensors& in) {
    at::Tensor sum = in[0];
    for (std::size_t i = 1; i < in.size(); ++i) {
      sum = rounded_add(layer.operation(static_cast<int>(i) - 1), sum, in[i]);
    }
    return sum;
  };
}

using Power = std::function<at::Tensor(const LayerArithmetic&, const at::Tensor&)>;

// Roots are rounded once; powers are products one after the other. Empty for others, and for
// several exponents.
Power power_of(const at::Tensor& exponents) {
  using tensorquant::Function;
  static const std::map<double, Function> roots = {
      {0.5, Function::sqrt}, {-0.5, Function::rsqrt}, {-1, Function::reciprocal}};
  if (exponents.numel() != 1) return {};
  const double exponent = exponents.item<double>();
  if (const auto root = roots.find(exponent); root != roots.end()) {
    return [function = root->second](const LayerArithmetic& layer, const at::Tensor& x) {
      return rounded_function(layer, function, x);
    };
  }
  if (exponent != 1 && exponent != 2 && exponent != 3 && exponent != 4) return {};
  return [exponent](const LayerArithmetic& layer, const at::Tensor& x) {
    at::Tensor y = x;
    for (int i = 1; i < exponent; ++i) y = rounded_multiply(layer.operation(i - 1), y, x);
    return y;
  };
}

RoundedFunction round_pow(const NodeView& node) {
  if (const at::Tensor told = node.constant(1); told.defined() && !power_of(told)) return {};
  return [](const LayerArithmetic& layer, const Tensors& in) {
    const Power power = power_of(in[1]);
    if (!power) {
      throw Error(
          "its arithmetic cannot be rounded: its exponent is not one of 1 to 4, -1, 0.5, -0.5");
    }
    return power(layer, in[1].dim() > in[0].dim() ? at::broadcast_tensors(in)[0] : in[0]);
  };
}

// Over one axis; before operator set 13 over all from that axis on.
template <RoundedSoftmax function>
RoundedFunction round_softmax(const NodeView& node) {
  const bool flattens = node.version() < 13;
  const std::int64_t axis = node.integer("axis", flattens ? 1 : -1);
  return [=](const LayerArithmetic& layer, const Tensors& in) {
    const at::Tensor& x = in[0];
    const std::int64_t first = axis_of(axis, x.dim());
    if (!flattens) return function(layer, x, first);
    return function(layer, x.flatten(first), first).reshape(x.sizes());
  };
}

RoundedFunction round_layer_norm(const NodeView& node) {
  return [epsilon = node.number("epsilon", 1e-5), told = node.integer("axis", -1)](
             const LayerArithmetic& layer, const Tensors& in) {
    const auto axis = static_cast<std::size_t>(axis_of(told, in[0].dim()));
    const at::IntArrayRef sizes = in[0].sizes().slice(axis);
    const auto fitting = [&](std::size_t i) {
      return in.size() > i && in[i].defined() ? in[i].expand(sizes) : at::Tensor();
    };
    return rounded_layer_norm(layer, in[0], sizes, fitting(1), fitting(2), epsilon);
  };
}

RoundedFunction round_rms_norm(const NodeView& node) {
  return [epsilon = node.number("epsilon", 1e-5), told = node.integer("axis", -1)](
             const LayerArithmetic& layer, const Tensors& in) {
    const auto axis = static_cast<std::size_t>(axis_of(told, in[0].dim()));
    const at::IntArrayRef sizes = in[0].sizes().slice(axis);
    return rounded_rms_norm(layer, in[0], sizes, in[1].expand(sizes), epsilon);
  };
}

// Before operator set 21 scale and B have a number for each group.
RoundedFunction round_group_norm(const NodeView& node) {
  if (node.version() < 21) return {};
  return [epsilon = node.number("epsilon", 1e-5), groups = node.integer("num_groups", 1)](
             const LayerArithmetic& layer, const Tensors& in) {
    return rounded_group_norm(layer, in[0], groups, in[1], in[2], epsilon);
  };
}

RoundedFunction round_instance_norm(const NodeView& node) {
  return [epsilon = node.number("epsilon", 1e-5)](const LayerArithmetic& layer, const Tensors& in) {
    return rounded_instance_norm(layer, in[0], in[1], in[2], epsilon);
  };
}

RoundedFunction round_global_pool(const NodeView&) {
  return [](const LayerArithmetic& layer, const Tensors& in) {
    const auto dimensions = static_cast<std::size_t>(in[0].dim());
    if (dimensions < 3) throw Error("a pool needs an input of (batch, channels, space...)");
    return rounded_adaptive_average_pool(
        layer, in[0], std::vector<std::optional<std::int64_t>>(dimensions - 2, 1));
  };
}

using RoundedReduction = at::Tensor (*)(const LayerArithmetic&, const at::Tensor&, at::IntArrayRef,
                                        bool);

// The axes are an input from that operator set on; none: all, or none to reduce.
template <RoundedReduction function, std::int64_t since>
RoundedFunction round_reduction(const NodeView& node) {
  const IntegerList axes =
      node.version() < since ? IntegerList(node.integers("axes")) : IntegerList(node, 1);
  const bool keeps = node.integer("keepdims", 1) != 0;
  const bool none_is_none = node.integer("noop_with_empty_axes", 0) != 0;
  return [=](const LayerArithmetic& layer, const Tensors& in) {
    const Integers places = axes.of(in);
    if (places.empty() && none_is_none) return in[0];
    return function(layer, in[0], places, keeps);
  };
}

const std::map<std::string_view, RoundedMaker>& rounded_makers() {
  using enum tensorquant::Function;
  static const std::map<std::string_view, RoundedMaker> all = {
      {"Exp", round_unary<exp>},
      {"Log", round_unary<log>},
      {"Sqrt", round_unary<sqrt>},
      {"Reciprocal", round_unary<reciprocal>},
      {"Erf", round_unary<erf>},
      {"Tanh", round_unary<tensorquant::Function::tanh>},
      {"Sigmoid", round_unary<sigmoid>},
      {"HardSwish", round_unary<hardswish>},
      {"Softplus", round_unary<softplus>},
      {"HardSigmoid", round_hard_sigmoid},
      {"PRelu", round_prelu},
      {"Pow", round_pow},
      {"Sum", round_sum},
      {"Gelu", round_gelu},
      {"LeakyRelu", round_leaky_relu},
      {"Sub", round_binary<rounded_subtract>},
      {"Mul", round_binary<rounded_multiply>},
      {"Div", round_binary<rounded_divide>},
      {"Gemm", round_gemm},
      {"MatMul", round_binary<rounded_matrix_product>},
      {"Softmax", round_softmax<rounded_softmax>},
      {"LogSoftmax", round_softmax<rounded_log_softmax>},
      {"LayerNormalization", round_layer_norm},
      {"InstanceNormalization", round_instance_norm},
      {"GroupNormalization", round_group_norm},
      {"RMSNormalization", round_rms_norm},
      {"GlobalAveragePool", round_global_pool},
      {"ReduceMean", round_reduction<rounded_mean, 18>},
      {"ReduceSum", round_reduction<rounded_sum, 13>},
  };
  return all;
}

}  // namespace

RoundedFunction make_rounded_function(const NodeView& node) {
  const auto found = rounded_makers().find(node.op_type());
  return found == rounded_makers().end() ? RoundedFunction() : found->second(node);
}

bool selects_numbers(const NodeView& node) {
  static const std::set<std::string_view> all = {"Abs", "Clip",      "Dropout",   "Max",  "Min",
                                                 "Neg", "ReduceMax", "ReduceMin", "Where"};
  return all.contains(node.op_type());
}

}  // namespace tensorquant::onnx_torch
