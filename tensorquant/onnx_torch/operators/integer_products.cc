#include <ATen/ATen.h>

#include <cstdint>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/codes.h"
#include "tensorquant/onnx_torch/operators/integer_sums.h"
#include "tensorquant/onnx_torch/operators/operators.h"
#include "tensorquant/onnx_torch/operators/scales.h"
#include "tensorquant/onnx_torch/operators/windows.h"

// Convolutions and matrix products of codes, and ONNX Runtime's other operators on codes.
namespace tensorquant::onnx_torch {
namespace {

// Codes less their zero points, in float64.
at::Tensor numbers_of(const at::Tensor& codes, const at::Tensor& zero_point, std::int64_t axis) {
  const at::Tensor numbers = codes.to(at::kDouble);
  if (!zero_point.defined()) return numbers;
  // As many as the codes have dimensions: each for itself, as MatMulInteger's may be.
  const bool broadcasts = zero_point.dim() > 1 && zero_point.dim() == codes.dim();
  return numbers - (broadcasts ? zero_point : along_axis(zero_point, codes, axis, "its zero point"))
                       .to(at::kDouble);
}

// Sums that the operators have as int32.
at::Tensor checked(const at::Tensor& sums) {
  const bool fits =
      sums.numel() == 0 || (sums.max().item<double>() <= std::numeric_limits<std::int32_t>::max() &&
                            sums.min().item<double>() >= std::numeric_limits<std::int32_t>::min());
  if (!fits) throw Error("a sum is beyond int32");
  return sums;
}

// Sums, already exact, to the output's codes: y = even(float(sum) * ((sx * sw) / sy)) + zero point.
at::Tensor requantized(const at::Tensor& sums, const at::Tensor& factor_scale,
                       const at::Tensor& y_scale, const at::Tensor& zero_point,
                       const Codes& codes) {
  const at::Tensor factor = factor_scale / y_scale.reshape({});
  return to_codes(checked(sums).to(at::kFloat) * factor, zero_point.reshape({}), codes);
}

// The codes of a zero point's type. Error where that is not known.
Codes codes_of_input(const NodeView& node, std::size_t i) {
  if (node.input_type(i) == onnx::DataType::undefined) {
    throw Error("the type of its input " + std::to_string(i) + " is not known");
  }
  return codes_of(node.input_type(i));
}

// Padding is the zero point, which is 0 once it is taken away.
Product convolution(const NodeView& node, std::size_t weight) {
  return [run = convolution_of(node, weight)](const at::Tensor& x, const at::Tensor& w) {
    return run(x, w, at::Tensor());
  };
}

at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b) { return at::matmul(a, b); }

Function conv_integer(const NodeView& node) {
  const Product product = convolution(node, 1);
  return [=](const Tensors& in) {
    const at::Tensor x = numbers_of(in[0], optional_input(in, 2), 1);
    const at::Tensor w = numbers_of(in[1], optional_input(in, 3), 0);
    return Tensors{checked(integer_product(product, x, w)).to(at::kInt)};
  };
}

Function matmul_integer(const NodeView&) {
  return [](const Tensors& in) {
    const at::Tensor a = numbers_of(in[0], optional_input(in, 2), in[0].dim() > 1 ? -2 : -1);
    const at::Tensor b = numbers_of(in[1], optional_input(in, 3), -1);
    return Tensors{checked(integer_product(matrix_product, a, b)).to(at::kInt)};
  };
}

// Inputs: x, its scale and zero point, w, its scale and zero point, y's scale and zero point, bias.
Function qlinear_conv(const NodeView& node) {
  const Product product = convolution(node, 3);
  const Codes codes = codes_of_input(node, 7);
  return [=](const Tensors& in) {
    at::Tensor sums =
        integer_product(product, numbers_of(in[0], in[2], 1), numbers_of(in[3], in[5], 0));
    if (const at::Tensor bias = optional_input(in, 8); bias.defined()) {
      sums = sums + along_axis(bias.to(at::kDouble), sums, 1, "its bias");
    }
    const at::Tensor scale = along_axis(in[1].reshape({}) * in[4], sums, 1, "its weights' scale");
    return Tensors{requantized(sums, scale, in[6], in[7], codes)};
  };
}

// Inputs: a, its scale and zero point, b, its scale and zero point, y's scale and zero point.
Function qlinear_matmul(const NodeView& node) {
  const Codes codes = codes_of_input(node, 7);
  for (const std::size_t i : {0, 3}) {
    if (is_floating_point(node.input_type(i))) throw Error("products of floats are not supported");
  }
  return [=](const Tensors& in) {
    const at::Tensor a = numbers_of(in[0], in[2], -2), b = numbers_of(in[3], in[5], -1);
    const at::Tensor sums = integer_product(matrix_product, a, b);
    const auto over = [&](const at::Tensor& scale, std::int64_t axis, const char* what) {
      return scale.dim() > 1 ? scale : along_axis(scale, sums, axis, what);
    };
    const at::Tensor scale =
        over(in[1], -2, "its first scale") * over(in[4], -1, "its second scale");
    return Tensors{requantized(sums, scale.to(at::kFloat), in[6].to(at::kFloat), in[7], codes)};
  };
}

// ONNX Runtime's: as QLinearMatMul with a bias; without y's scale the result is a float.
Function q_gemm(const NodeView& node) {
  const bool turns_a = node.integer("transA", 0) != 0, turns_b = node.integer("transB", 0) != 0;
  const double alpha = node.number("alpha", 1);
  if (alpha != 1) throw Error("attribute 'alpha': other than 1 is not supported");
  const bool is_float = !node.has_input(7);
  const Codes codes = is_float ? Codes{} : codes_of_input(node, 8);
  return [=](const Tensors& in) {
    at::Tensor a = numbers_of(in[0], in[2], 0), b = numbers_of(in[3], in[5], turns_b ? 0 : 1);
    a = turns_a ? a.t() : a;
    b = turns_b ? b.t() : b;
    at::Tensor sums = integer_product(matrix_product, a, b);
    if (const at::Tensor bias = optional_input(in, 6); bias.defined()) {
      sums = sums + bias.to(at::kDouble);
    }
    const at::Tensor scale = in[1].reshape({}) * along_axis(in[4], sums, 1, "its second scale");
    if (is_float) return Tensors{checked(sums).to(at::kFloat) * scale};
    return Tensors{requantized(sums, scale, in[7], in[8], codes)};
  };
}

// The number that a code stands for, in float32.
at::Tensor real_of(const at::Tensor& codes, const at::Tensor& scale, const at::Tensor& zero_point) {
  return numbers_of(codes, zero_point, 1).to(at::kFloat) * scale.reshape({});
}

// ONNX Runtime's: a sum of two tensors of codes.
Function qlinear_add(const NodeView& node) {
  const Codes codes = codes_of(node.input_type(0));
  return [=](const Tensors& in) {
    const at::Tensor sum = real_of(in[0], in[1], in[2]) + real_of(in[3], in[4], in[5]);
    return Tensors{to_codes(sum / in[6].reshape({}), optional_input(in, 7), codes)};
  };
}

// ONNX Runtime's: a mean of codes.
Function qlinear_average_pool(const NodeView& node) {
  if (node.integer("channels_last", 0) != 0) throw Error("channels_last is not supported");
  const Codes codes = codes_of(node.input_type(0));
  return [=, pool = find_operator("", "AveragePool")->make(node)](const Tensors& in) {
    const at::Tensor mean = pool({numbers_of(in[0], in[2], 1)}).front();  // of exact sums
    const at::Tensor factor = in[1].reshape({}) / in[3].reshape({});
    return Tensors{to_codes(mean.to(at::kFloat) * factor, optional_input(in, 4), codes)};
  };
}

}  // namespace

Operators integer_product_operators() {
  return {{"ConvInteger", {conv_integer, 2, 4}},
          {"MatMulInteger", {matmul_integer, 2, 4}},
          {"QLinearConv", {qlinear_conv, 8, 9}},
          {"QLinearMatMul", {qlinear_matmul, 8, 8}}};
}

Operators microsoft_operators() {
  return {{"QGemm", {q_gemm, 6, 9}},
          {"QLinearAdd", {qlinear_add, 7, 8}},
          {"QLinearAveragePool", {qlinear_average_pool, 4, 5}}};
}

}  // namespace tensorquant::onnx_torch
