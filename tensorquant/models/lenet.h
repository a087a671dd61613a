#ifndef TENSORQUANT_MODELS_LENET_H_
#define TENSORQUANT_MODELS_LENET_H_

#include "tensorquant/models/model.h"
#include "tensorquant/models/relu_layers.h"

namespace tensorquant {

// The LeNet of the original's example: 20 and 50 filters of 5 x 5, "same" padding, then 500 and 10
// neurons. The outputs of Conv1, Conv2 and Dense3 are those after their ReLU.
class LeNet : public ImageClassifier {
 public:
  LeNet();
  std::vector<Stage> stages() override;
  void initialize(at::Generator generator) override;

  nn::Identity input = nullptr;
  Conv2dRelu conv1 = nullptr, conv2 = nullptr;
  nn::MaxPool2d pool1 = nullptr, pool2 = nullptr;
  nn::Flatten flatten = nullptr;
  DenseRelu dense3 = nullptr;
  nn::Linear dense4 = nullptr;

 private:
  std::shared_ptr<ImageClassifier> rebuild() const override { return std::make_shared<LeNet>(); }
};

// LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998) as it is
// built today, with ReLU and max pooling.
class LeNet5 : public ImageClassifier {
 public:
  LeNet5();
  std::vector<Stage> stages() override;
  void initialize(at::Generator generator) override;

  nn::Identity input = nullptr;
  nn::Conv2d conv1 = nullptr, conv2 = nullptr, conv3 = nullptr;
  nn::ReLU relu1 = nullptr, relu2 = nullptr, relu3 = nullptr, relu4 = nullptr;
  nn::MaxPool2d pool1 = nullptr, pool2 = nullptr;
  nn::Flatten flatten = nullptr;
  nn::Linear fc1 = nullptr, fc2 = nullptr;

 private:
  std::shared_ptr<ImageClassifier> rebuild() const override { return std::make_shared<LeNet5>(); }
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_LENET_H_
