#ifndef TENSORQUANT_ONNX_TORCH_OPERATORS_INTEGER_SUMS_H_
#define TENSORQUANT_ONNX_TORCH_OPERATORS_INTEGER_SUMS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <utility>

namespace tensorquant::onnx_torch {

// A convolution or matrix product, without a bias.
using Product = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& w)>;

// The product of integers, in float64, where no order of additions rounds: Error where the
// magnitudes of a sum could reach 2^53.
at::Tensor integer_product(const Product& product, const at::Tensor& x, const at::Tensor& w);

// The constant scales of a product's factors, where these stand for integers times scales: one of
// x; one of w, or one for each output.
struct FactorScales {
  at::Tensor x, w;
};

// A product of such factors. The integers are added up exactly, the sum is scaled and the bias
// added in float64, and the result rounded once.
class IntegerSums {
 public:
  // `w_axis` of w, `y_axis` of the result: the outputs.
  IntegerSums() = default;  // never defined
  IntegerSums(Product product, FactorScales scales, std::int64_t w_axis, std::int64_t y_axis)
      : product_(std::move(product)),
        scales_(std::move(scales)),
        w_axis_(w_axis),
        y_axis_(y_axis) {}
  // With the gradients of the float product. Undefined where x or w is something else, as a tensor
  // that another quantizer has changed.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) const;

 private:
  at::Tensor add_bias(const at::Tensor& sums, const at::Tensor& bias) const;
  at::Tensor result(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) const;

  Product product_;
  FactorScales scales_;
  std::int64_t w_axis_ = 0, y_axis_ = 0;
};

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_OPERATORS_INTEGER_SUMS_H_
