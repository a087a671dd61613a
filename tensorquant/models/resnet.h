#ifndef TENSORQUANT_MODELS_RESNET_H_
#define TENSORQUANT_MODELS_RESNET_H_

#include <ostream>

#include "tensorquant/libtorch/nn/nn.h"
#include "tensorquant/models/model.h"

namespace tensorquant {

namespace detail {

// The shortcut of option A: every second row and column, then channels of zeros, half of them
// before and half of them after. (n, c, h, w) -> (n, 2 c, h / 2, w / 2); no parameters.
struct PadShortcutImpl : torch::nn::Cloneable<PadShortcutImpl> {
  void reset() override {}
  void pretty_print(std::ostream& stream) const override { stream << "PadShortcut()"; }
  at::Tensor forward(const at::Tensor& x);
};

}  // namespace detail

template <>
inline constexpr bool only_moves_values_v<detail::PadShortcutImpl> = true;

class PadShortcutImpl : public QLayer<detail::PadShortcutImpl, PadShortcutImpl> {};
TORCH_MODULE(PadShortcut);

// relu2(add(bn2(conv2(relu1(bn1(conv1(x))))), x)), with a shortcut for x where it has half as many
// channels as the block.
class ResNetBlockImpl : public torch::nn::Cloneable<ResNetBlockImpl> {
 public:
  ResNetBlockImpl(std::int64_t in_channels, std::int64_t channels)
      : in_channels_(in_channels), channels_(channels) {
    ResNetBlockImpl::reset();
  }
  void reset() override;
  at::Tensor forward(at::Tensor x);

  nn::Conv2d conv1 = nullptr, conv2 = nullptr;
  nn::BatchNorm2d bn1 = nullptr, bn2 = nullptr;
  nn::ReLU relu1 = nullptr, relu2 = nullptr;
  PadShortcut shortcut = nullptr;  // empty where x fits as it is
  nn::Add add = nullptr;

 private:
  std::int64_t in_channels_, channels_;
};
TORCH_MODULE(ResNetBlock);

// The CIFAR-10 network of K. He et al., "Deep Residual Learning for Image Recognition" (2016),
// section 4.2: 6 n + 2 layers, n blocks each of 16, 32 and 64 channels.
class ResNet : public ImageClassifier {
 public:
  explicit ResNet(int depth);
  std::vector<Stage> stages() override;
  void initialize(at::Generator generator) override;

  nn::Identity input = nullptr;
  nn::Conv2d conv1 = nullptr;
  nn::BatchNorm2d bn1 = nullptr;
  nn::ReLU relu = nullptr;
  nn::Sequential layer1 = nullptr, layer2 = nullptr, layer3 = nullptr;
  nn::AdaptiveAvgPool2d avgpool = nullptr;
  nn::Flatten flatten = nullptr;
  nn::Linear linear = nullptr;

 private:
  std::shared_ptr<ImageClassifier> rebuild() const override {
    return std::make_shared<ResNet>(depth_);
  }
  int depth_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_RESNET_H_
