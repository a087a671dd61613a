#include <ATen/ATen.h>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Matrix products.
namespace tensorquant::onnx_torch {
namespace {

Function matmul(const NodeView&) {
  return [](const Tensors& in) { return Tensors{at::matmul(in[0], in[1])}; };
}

// alpha A B + beta C
Function gemm(const NodeView& node) {
  const double alpha = node.number("alpha", 1), beta = node.number("beta", 1);
  const bool turns_a = node.integer("transA", 0) != 0, turns_b = node.integer("transB", 0) != 0;
  return [=](const Tensors& in) {
    const at::Tensor a = turns_a ? in[0].t() : in[0], b = turns_b ? in[1].t() : in[1];
    at::Tensor y = at::matmul(a, b);
    if (alpha != 1) y = y * alpha;
    if (in.size() > 2 && in[2].defined()) y = y + (beta == 1 ? in[2] : in[2] * beta);
    return Tensors{y};
  };
}

}  // namespace

Makers product_operators() { return {{"MatMul", matmul}, {"Gemm", gemm}}; }

}  // namespace tensorquant::onnx_torch
