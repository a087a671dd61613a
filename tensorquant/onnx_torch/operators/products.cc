#include <ATen/ATen.h>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Matrix products.
namespace tensorquant::onnx_torch {
namespace {

Function matmul(const NodeView&) {
  return [](const Tensors& in) { return Tensors{at::matmul(in[0], in[1])}; };
}

// Of x's type; of integers without the fraction.
at::Tensor scaled(const at::Tensor& x, double factor) {
  return factor == 1 ? x : (x * factor).to(x.scalar_type());
}

// alpha A B + beta C
Function gemm(const NodeView& node) {
  const double alpha = node.number("alpha", 1), beta = node.number("beta", 1);
  const bool turns_a = node.integer("transA", 0) != 0, turns_b = node.integer("transB", 0) != 0;
  return [=](const Tensors& in) {
    const at::Tensor a = turns_a ? in[0].t() : in[0], b = turns_b ? in[1].t() : in[1];
    at::Tensor y = scaled(at::matmul(a, b), alpha);
    if (in.size() > 2 && in[2].defined()) y = y + scaled(in[2], beta);
    return Tensors{y};
  };
}

Function einsum(const NodeView& node) {
  return [equation = node.text("equation", "")](const Tensors& in) {
    return Tensors{at::einsum(equation, in)};
  };
}

Function determinant(const NodeView&) {
  return [](const Tensors& in) { return Tensors{at::linalg_det(in[0])}; };
}

}  // namespace

Operators product_operators() {
  return {
      {"MatMul", {matmul, 2, 2}},
      {"Gemm", {gemm, 2, 3}},
      {"Einsum", {einsum, 1, kAnyNumber}},
      {"Det", {determinant, 1, 1}},
  };
}

}  // namespace tensorquant::onnx_torch
