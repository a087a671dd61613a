#ifndef TENSORQUANT_MODELS_RELU_LAYERS_H_
#define TENSORQUANT_MODELS_RELU_LAYERS_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "tensorquant/torch/nn.h"

namespace tensorquant {

namespace detail {

// A layer whose output is that after the ReLU, as Keras' activation='relu'. Neither convolution nor
// matrix product needs its result for the backward pass, so the ReLU overwrites it.
template <class Layer>
class WithRelu : public Layer {
 public:
  using Layer::Layer;

  at::Tensor forward(const at::Tensor& input) {
    at::Tensor output = Layer::forward(input);
    output.relu_();
    return output;
  }

  std::shared_ptr<torch::nn::Module> clone(CloneDevice device = {}) const override {
    const std::shared_ptr<torch::nn::Module> plain = Layer::clone(device);
    auto copy = std::make_shared<WithRelu>(*this);
    static_cast<Layer&>(*copy) = std::move(dynamic_cast<Layer&>(*plain));
    return copy;
  }
};

class MapLinearImpl : public torch::nn::LinearImpl {
 public:
  MapLinearImpl(std::int64_t channels, std::int64_t height, std::int64_t width, std::int64_t out)
      : LinearImpl(channels * height * width, out),
        channels_(channels),
        height_(height),
        width_(width) {}

  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor maps = input.view({-1, channels_, height_, width_});
    return torch::conv2d(maps, weight.view({-1, channels_, height_, width_}), bias).flatten(1);
  }

 private:
  std::int64_t channels_, height_, width_;
};

}  // namespace detail

class Conv2dReluImpl : public QLayer<detail::WithRelu<torch::nn::Conv2dImpl>, Conv2dReluImpl> {
 public:
  using QLayer::QLayer;
};
TORCH_MODULE(Conv2dRelu);

// Linear on flattened maps of channels x height x width. It is computed as a convolution whose
// kernel is as large as the map: the same sums, for which libtorch has its own fast code, while its
// Linear is as slow as the BLAS that the system happens to have (20 times, with Debian's default).
class DenseReluImpl : public QLayer<detail::WithRelu<detail::MapLinearImpl>, DenseReluImpl> {
 public:
  using QLayer::QLayer;
};
TORCH_MODULE(DenseRelu);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_RELU_LAYERS_H_
