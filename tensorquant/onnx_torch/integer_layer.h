#ifndef TENSORQUANT_ONNX_TORCH_INTEGER_LAYER_H_
#define TENSORQUANT_ONNX_TORCH_INTEGER_LAYER_H_

#include <memory>
#include <string>
#include <utility>

#include "tensorquant/libtorch/nn/nn.h"
#include "tensorquant/onnx_torch/operators/integer_sums.h"

// Layers of libtorch whose sums are exact where weights and inputs stand for integers.
namespace tensorquant {
namespace onnx_torch {

template <class Impl>
struct SumsIntegers : Impl {
  using Impl::Impl;

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = sums(x, this->weight, this->bias);
    return y.defined() ? y : Impl::forward(x);
  }

  std::shared_ptr<torch::nn::Module> clone(detail::CloneDevice device = {}) const override {
    const std::shared_ptr<torch::nn::Module> plain = Impl::clone(device);
    auto copy = std::make_shared<SumsIntegers>(*this);
    static_cast<Impl&>(*copy) = std::move(dynamic_cast<Impl&>(*plain));
    return copy;
  }

  IntegerSums sums;
};

}  // namespace onnx_torch

template <class Impl>
struct RoundedForward<onnx_torch::SumsIntegers<Impl>> : RoundedForward<Impl> {};
template <class Impl>
inline constexpr TensorAxes weight_axes_v<onnx_torch::SumsIntegers<Impl>> = weight_axes_v<Impl>;
template <class Impl>
inline constexpr int output_axis_v<onnx_torch::SumsIntegers<Impl>> = output_axis_v<Impl>;

namespace onnx_torch {

template <class Impl>
class IntegerLayer : public QLayer<SumsIntegers<Impl>, IntegerLayer<Impl>> {
 public:
  using Twin = QLayer<SumsIntegers<Impl>, IntegerLayer<Impl>>;
  using Twin::Twin;
  at::Tensor forward(const at::Tensor& x) { return Twin::forward(x); }
  std::string type() const override {
    return detail::layer_type(c10::demangle(typeid(Impl).name()));
  }
};

}  // namespace onnx_torch
}  // namespace tensorquant

#endif  // TENSORQUANT_ONNX_TORCH_INTEGER_LAYER_H_
