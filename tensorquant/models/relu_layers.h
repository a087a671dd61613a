#ifndef TENSORQUANT_MODELS_RELU_LAYERS_H_
#define TENSORQUANT_MODELS_RELU_LAYERS_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "tensorquant/libtorch/nn/nn.h"

// Layers whose output is that after the ReLU, as with Keras' activation="relu". Neither a
// convolution nor a matrix product needs its result for the backward pass, so the ReLU overwrites
// it.
namespace tensorquant {

namespace detail {

// A layer derived from one of libtorch's, whose own clone() would give a plain Layer.
template <class Derived, class Layer>
class DerivedLayer : public Layer {
 public:
  using Layer::Layer;

  std::shared_ptr<torch::nn::Module> clone(CloneDevice device = {}) const override {
    const std::shared_ptr<torch::nn::Module> plain = Layer::clone(device);
    auto copy = std::make_shared<Derived>(static_cast<const Derived&>(*this));
    static_cast<Layer&>(*copy) = std::move(dynamic_cast<Layer&>(*plain));
    return copy;
  }
};

class Conv2dReluImpl : public DerivedLayer<Conv2dReluImpl, torch::nn::Conv2dImpl> {
 public:
  using DerivedLayer::DerivedLayer;

  at::Tensor forward(const at::Tensor& input) {
    at::Tensor output = torch::nn::Conv2dImpl::forward(input);
    output.relu_();
    return output;
  }
};

class DenseReluImpl : public DerivedLayer<DenseReluImpl, torch::nn::LinearImpl> {
 public:
  DenseReluImpl(std::int64_t channels, std::int64_t height, std::int64_t width, std::int64_t out)
      : DerivedLayer(channels * height * width, out),
        channels_(channels),
        height_(height),
        width_(width) {}

  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor maps = input.view({-1, channels_, height_, width_});
    const at::Tensor kernels = weight.view({-1, channels_, height_, width_});
    at::Tensor output = torch::conv2d(maps, kernels, bias).flatten(1);
    output.relu_();
    return output;
  }

 private:
  std::int64_t channels_, height_, width_;
};

}  // namespace detail

template <>
struct RoundedForward<detail::Conv2dReluImpl> {
  static at::Tensor call(detail::Conv2dReluImpl& layer, const LayerArithmetic& arithmetic,
                         const at::Tensor& input) {
    return detail::rounded_conv<2>(layer, arithmetic, input).relu();
  }
};

template <>
struct RoundedForward<detail::DenseReluImpl> {
  static at::Tensor call(detail::DenseReluImpl& layer, const LayerArithmetic& arithmetic,
                         const at::Tensor& input) {
    return rounded_linear(arithmetic, input, layer.weight, layer.bias).relu();
  }
};

class Conv2dReluImpl : public QLayer<detail::Conv2dReluImpl, Conv2dReluImpl> {
 public:
  using QLayer::QLayer;
};
TORCH_MODULE(Conv2dRelu);

// Linear on flattened maps of channels x height x width. It is computed as a convolution whose
// kernel is as large as the map: the same sums, for which libtorch has fast code of its own, while
// its Linear is as slow as the BLAS that the system happens to have (20 times, with Debian's
// default).
class DenseReluImpl : public QLayer<detail::DenseReluImpl, DenseReluImpl> {
 public:
  using QLayer::QLayer;
};
TORCH_MODULE(DenseRelu);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_RELU_LAYERS_H_
