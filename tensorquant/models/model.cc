#include "tensorquant/models/model.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/models/lenet.h"
#include "tensorquant/models/resnet.h"

namespace tensorquant {
namespace {

template <class Model>
std::shared_ptr<ImageClassifier> build() {
  return std::make_shared<Model>();
}

// Of 6 blocks + 2 layers: "Deep Residual Learning for Image Recognition", section 4.2.
template <int depth>
ModelInfo resnet() {
  ModelInfo info;
  info.name = "resnet" + std::to_string(depth);
  info.description = "ResNet-" + std::to_string(depth) + " for CIFAR-10, option A shortcuts";
  info.channels = 3;
  info.height = info.width = 32;
  info.mean = {0.485F, 0.456F, 0.406F};
  info.deviation = {0.229F, 0.224F, 0.225F};
  info.build = [] { return std::shared_ptr<ImageClassifier>(std::make_shared<ResNet>(depth)); };
  return info;
}

// What the network gets for each pixel value of channel c.
std::array<float, 256> levels(const ModelInfo& info, std::size_t c) {
  std::array<float, 256> table{};
  for (std::size_t pixel = 0; pixel < table.size(); ++pixel) {
    table[pixel] = (static_cast<float>(pixel) / 255.0F - info.mean[c]) / info.deviation[c];
  }
  return table;
}

}  // namespace

const std::vector<ModelInfo>& all_models() {
  static const std::vector<ModelInfo> models = [] {
    ModelInfo lenet;
    lenet.name = "lenet";
    lenet.description = "LeNet of the original example: Conv1, Conv2, Dense3, Dense4";
    lenet.build = build<LeNet>;
    ModelInfo lenet5;
    lenet5.name = "lenet5";
    lenet5.description = "LeNet-5 with ReLU and max pooling";
    lenet5.build = build<LeNet5>;
    return std::vector<ModelInfo>{lenet,        lenet5,       resnet<20>(), resnet<32>(),
                                  resnet<44>(), resnet<56>(), resnet<110>()};
  }();
  return models;
}

at::Tensor ImageClassifier::forward(at::Tensor images) {
  for (const Stage& stage : stages()) images = stage(std::move(images));
  return images;
}

std::shared_ptr<torch::nn::Module> ImageClassifier::clone(detail::CloneDevice device) const {
  const at::NoGradGuard no_grad;
  const std::shared_ptr<ImageClassifier> copy = rebuild();
  const auto take_over = [](auto to, const auto& from) {
    for (std::size_t i = 0; i < from.size(); ++i) to[i].copy_(from[i]);
  };
  if (device) copy->to(*device);
  take_over(copy->parameters(), parameters());
  take_over(copy->buffers(), buffers());
  copy->train(is_training());
  return copy;
}

const ModelInfo& find_model(std::string_view name) {
  std::string names;
  for (const ModelInfo& info : all_models()) {
    if (info.name == name) return info;
    names += (names.empty() ? "" : ", ") + info.name;
  }
  throw Error("unknown model '" + std::string(name) + "', expected one of " + names);
}

std::shared_ptr<ImageClassifier> make_model(const ModelInfo& info, std::uint64_t seed) {
  std::shared_ptr<ImageClassifier> model = info.build();
  model->initialize(at::detail::createCPUGenerator(seed));
  return model;
}

std::vector<std::string> layer_names(ImageClassifier& model) {
  std::vector<std::string> names;
  for (LayerSummary& row : summary(model)) names.push_back(std::move(row.layer));
  return names;
}

void require_fit(const ModelInfo& info, const ImageDataset& data, const std::string& source) {
  const auto size = [](auto channels, auto height, auto width) {
    return std::to_string(channels) + " x " + std::to_string(height) + " x " +
           std::to_string(width);
  };
  const std::string wanted = size(info.channels, info.height, info.width);
  const std::string found = size(data.channels, data.height, data.width);
  if (found != wanted) {
    throw Error(source + ": " + info.name + " takes images of " + wanted + ", found " + found);
  }
}

at::Tensor preprocess(const ModelInfo& info, const ImageDataset& data,
                      std::span<const std::size_t> indices) {
  const auto count = static_cast<std::int64_t>(indices.size());
  // Channels last: libtorch's convolutions and pools are up to twice as fast that way.
  at::Tensor images = at::empty({count, info.channels, info.height, info.width}, at::kFloat,
                                at::MemoryFormat::ChannelsLast);
  const std::size_t plane = data.height * data.width;
  for (std::size_t c = 0; c < data.channels; ++c) {
    const std::array<float, 256> table = levels(info, c);
    float* out = images.data_ptr<float>() + c;
    for (const std::size_t i : indices) {
      const std::uint8_t* pixels = data.pixels.data() + (i * data.channels + c) * plane;
      for (std::size_t p = 0; p < plane; ++p, out += data.channels) *out = table[pixels[p]];
    }
  }
  return images;
}

at::Tensor labels_of(const ImageDataset& data, std::span<const std::size_t> indices) {
  at::Tensor labels = at::empty({static_cast<std::int64_t>(indices.size())}, at::kLong);
  std::transform(indices.begin(), indices.end(), labels.data_ptr<std::int64_t>(),
                 [&](std::size_t i) { return data.labels[i]; });
  return labels;
}

std::vector<std::size_t> batch_indices(const ImageDataset& data, std::size_t first,
                                       std::size_t count) {
  std::vector<std::size_t> indices(std::min(count, data.count - first));
  std::iota(indices.begin(), indices.end(), first);
  return indices;
}

}  // namespace tensorquant
