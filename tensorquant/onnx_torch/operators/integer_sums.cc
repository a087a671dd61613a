#include "tensorquant/onnx_torch/operators/integer_sums.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/arithmetic/float_gradient.h"
#include "tensorquant/onnx_torch/operators/scales.h"

namespace tensorquant::onnx_torch {
namespace {

double magnitude_of(const at::Tensor& x) {
  return x.numel() == 0 ? 0 : x.abs().max().item<double>();
}

// The integers q, in float64, of which x has the products with the scale; undefined if there are
// none. Below 2^22 the quotient, which is off by less than 2^-23 of itself, is nearest to q.
at::Tensor integers_in(const at::Tensor& x, const at::Tensor& scale) {
  const at::Tensor wide = scale.to(at::kDouble);
  const at::Tensor q = at::round(x.to(at::kDouble) / wide);
  const bool is_all = magnitude_of(q) < 0x1p22 && at::equal((q * wide).to(x.scalar_type()), x);
  return is_all ? q : at::Tensor();
}

}  // namespace

at::Tensor integer_product(const Product& product, const at::Tensor& x, const at::Tensor& w) {
  const double x_end = magnitude_of(x), w_end = magnitude_of(w);
  // No sum has more products than the smaller factor has numbers.
  const auto taps = static_cast<double>(std::min(x.numel(), w.numel()));
  if (x_end * w_end * taps >= 0x1p53 &&
      magnitude_of(product(x.abs(), w.abs())) >= 0x1p52) {  // itself off by less than half
    throw Error("sums of integers that need more than 52 bits are not supported");
  }
  return product(x, w);
}

at::Tensor IntegerSums::add_bias(const at::Tensor& sums, const at::Tensor& bias) const {
  if (!bias.defined()) return sums;
  // A convolution has one number a channel; else it is broadcast.
  return sums + (y_axis_ == 1 ? along_axis(bias, sums, y_axis_, "its bias") : bias);
}

at::Tensor IntegerSums::result(const at::Tensor& x, const at::Tensor& w,
                               const at::Tensor& bias) const {
  const at::NoGradGuard no_gradient;
  const at::Tensor a = integers_in(x, scales_.x.reshape({}));
  const at::Tensor b =
      a.defined() ? integers_in(w, along_axis(scales_.w, w, w_axis_, "its weight's scale")) : a;
  if (!b.defined()) return {};
  const at::Tensor sums = integer_product(product_, a, b);
  const at::Tensor scale = scales_.x.to(at::kDouble).reshape({}) * scales_.w.to(at::kDouble);
  const at::Tensor scaled = sums * along_axis(scale, sums, y_axis_, "its scales");
  return add_bias(scaled, bias.defined() ? bias.to(at::kDouble) : bias).to(at::kFloat);
}

at::Tensor IntegerSums::operator()(const at::Tensor& x, const at::Tensor& w,
                                   const at::Tensor& bias) const {
  if (x.scalar_type() != at::kFloat || w.scalar_type() != at::kFloat) return {};
  const at::Tensor y = result(x, w, bias);
  if (!y.defined()) return y;
  return with_gradient(
      {y, {}}, x, w, bias,
      [self = *this](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
        return self.add_bias(self.product_(a, b), c);
      });
}

}  // namespace tensorquant::onnx_torch
