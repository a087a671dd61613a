#ifndef TENSORQUANT_ONNX_TORCH_ALTERNATIVE_LAYER_H_
#define TENSORQUANT_ONNX_TORCH_ALTERNATIVE_LAYER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tensorquant/libtorch/nn/nn.h"

// Layers of libtorch that compute some inputs in another way than libtorch does.
namespace tensorquant {
namespace onnx_torch {

template <class Impl>
struct AlternativeImpl : Impl {
  using Impl::Impl;

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = alternative(*this, x);
    return y.defined() ? y : Impl::forward(x);
  }

  std::shared_ptr<torch::nn::Module> clone(detail::CloneDevice device = {}) const override {
    const std::shared_ptr<torch::nn::Module> plain = Impl::clone(device);
    auto copy = std::make_shared<AlternativeImpl>(*this);
    static_cast<Impl&>(*copy) = std::move(dynamic_cast<Impl&>(*plain));
    return copy;
  }

  // Undefined where libtorch's way is to be taken.
  std::function<at::Tensor(const Impl& layer, const at::Tensor& x)> alternative;
};

}  // namespace onnx_torch

template <class Impl>
struct RoundedForward<onnx_torch::AlternativeImpl<Impl>> : RoundedForward<Impl> {};
template <class Impl>
inline constexpr TensorAxes weight_axes_v<onnx_torch::AlternativeImpl<Impl>> = weight_axes_v<Impl>;
template <class Impl>
inline constexpr int output_axis_v<onnx_torch::AlternativeImpl<Impl>> = output_axis_v<Impl>;

namespace onnx_torch {

template <class Impl>
class AlternativeLayer : public QLayer<AlternativeImpl<Impl>, AlternativeLayer<Impl>> {
 public:
  using Twin = QLayer<AlternativeImpl<Impl>, AlternativeLayer<Impl>>;
  using Twin::Twin;
  at::Tensor forward(const at::Tensor& x) { return Twin::forward(x); }
  std::string type() const override {
    return detail::layer_type(c10::demangle(typeid(Impl).name()));
  }
};

}  // namespace onnx_torch
}  // namespace tensorquant

#endif  // TENSORQUANT_ONNX_TORCH_ALTERNATIVE_LAYER_H_
