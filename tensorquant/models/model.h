#ifndef TENSORQUANT_MODELS_MODEL_H_
#define TENSORQUANT_MODELS_MODEL_H_

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensorquant/data/dataset.h"
#include "tensorquant/libtorch/layers/q_layer.h"

namespace tensorquant {

// A network that gives an image one logit for each class. Its layers are those of tensorquant::nn.
class ImageClassifier : public torch::nn::Module {
 public:
  // images: (batch, channels, height, width) as preprocess() makes them; returns (batch, classes).
  at::Tensor forward(at::Tensor images);
  // forward() in parts, each of which takes what the one before it gives: so that what lies before
  // a change need not be computed again. They refer to this model.
  using Stage = std::function<at::Tensor(at::Tensor)>;
  virtual std::vector<Stage> stages() = 0;
  // Draws the weights anew as the network's authors did; biases are 0.
  virtual void initialize(at::Generator generator) = 0;
  // Not torch::nn::Cloneable, which is a virtual Module in some of libtorch's releases alone.
  std::shared_ptr<torch::nn::Module> clone(detail::CloneDevice device = {}) const override;

 private:
  // The same network with weights of its own.
  virtual std::shared_ptr<ImageClassifier> rebuild() const = 0;
};

// What is known of a network before it is built.
struct ModelInfo {
  std::string name;                                    // "lenet"
  std::string description;                             // for people
  std::int64_t channels = 1, height = 28, width = 28;  // of its images
  std::int64_t classes = 10;
  // The network's input is (pixel / 255 - mean) / deviation, for each channel.
  std::array<float, 3> mean = {0, 0, 0};
  std::array<float, 3> deviation = {1, 1, 1};
  std::shared_ptr<ImageClassifier> (*build)() = nullptr;
};

// lenet, lenet5, resnet20, resnet32, resnet44, resnet56, resnet110.
const std::vector<ModelInfo>& all_models();

// Throws an Error that lists the names where there is no such model.
const ModelInfo& find_model(std::string_view name);

// The network with weights that depend on nothing but the seed.
std::shared_ptr<ImageClassifier> make_model(const ModelInfo& info, std::uint64_t seed = 0);

// The names that a map's keys can hit, in the order in which the layers stand in the model.
std::vector<std::string> layer_names(ImageClassifier& model);

// Throws an Error that names `source` where the images are not of the size that the model takes.
void require_fit(const ModelInfo& info, const ImageDataset& data, const std::string& source);

// Images and labels as the network takes them: float32 (n, channels, height, width), in memory with
// the channels last, and int64 (n). The data must fit the model.
at::Tensor preprocess(const ModelInfo& info, const ImageDataset& data,
                      std::span<const std::size_t> indices);
at::Tensor labels_of(const ImageDataset& data, std::span<const std::size_t> indices);

// Image `first` and those after it, at most `count`.
std::vector<std::size_t> batch_indices(const ImageDataset& data, std::size_t first,
                                       std::size_t count);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_MODEL_H_
