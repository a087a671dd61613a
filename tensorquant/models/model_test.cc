#include "tensorquant/models/model.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/models/lenet.h"
#include "tensorquant/models/resnet.h"
#include "tensorquant/models/test_images.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::ThrowsMessage;

std::vector<std::string> parameter_names(const std::string& model) {
  std::vector<std::string> names;
  for (const auto& item : make_model(find_model(model))->named_parameters()) {
    names.push_back(item.key());
  }
  return names;
}

TEST(EveryModel, GivesOneLogitForEachClass) {
  for (const ModelInfo& info : all_models()) {
    const auto model = make_model(info);
    model->eval();
    const ImageDataset data = test_images(info, 2);
    const at::Tensor logits = model->forward(preprocess(info, data, batch_indices(data, 0, 2)));
    EXPECT_EQ(logits.sizes(), (std::vector<std::int64_t>{2, info.classes})) << info.name;
    EXPECT_TRUE(logits.isfinite().all().item<bool>()) << info.name;
  }
}

TEST(EveryModel, HasWeightsThatDependOnTheSeedAlone) {
  for (const ModelInfo& info : all_models()) {
    at::manual_seed(1);
    const auto a = make_model(info, 5)->parameters();
    at::manual_seed(2);
    const auto b = make_model(info, 5)->parameters();
    const auto c = make_model(info, 6)->parameters();
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i])) << info.name;
    EXPECT_FALSE(at::equal(a[0], c[0])) << info.name;
  }
}

TEST(EveryModel, KeepsItsQuantizersInAClone) {
  for (const std::string name : {"lenet", "lenet5", "resnet20"}) {
    const ModelInfo& info = find_model(name);
    const auto model = make_model(info);
    Override maps;
    maps.weights = QuantizerMap({{"", "nearest,4,3"}});
    maps.extrinsic = QuantizerMap({{"", "nearest,6,2"}}, MapKind::extrinsic);
    tensorquant::apply(model, maps);
    model->eval();
    const auto copy = std::dynamic_pointer_cast<ImageClassifier>(clone(*model));
    const ImageDataset data = test_images(info, 3);
    const at::Tensor images = preprocess(info, data, batch_indices(data, 0, 3));
    EXPECT_TRUE(at::equal(copy->forward(images), model->forward(images))) << name;
  }
}

TEST(Models, AreFoundByName) {
  std::vector<std::string> names;
  for (const ModelInfo& info : all_models()) names.push_back(info.name);
  EXPECT_THAT(names, ElementsAre("lenet", "lenet5", "resnet20", "resnet32", "resnet44", "resnet56",
                                 "resnet110"));
  EXPECT_THAT([] { find_model("lenet6"); },
              ThrowsMessage<Error>("unknown model 'lenet6', expected one of lenet, lenet5, "
                                   "resnet20, resnet32, resnet44, resnet56, resnet110"));
}

TEST(LeNet, HasTheLayersOfTheOriginalExample) {
  EXPECT_THAT(layer_names(*make_model(find_model("lenet"))),
              ElementsAre("input", "Conv1", "MaxPool1", "Conv2", "MaxPool2", "Flatten", "Dense3",
                          "Dense4"));
  EXPECT_THAT(parameter_names("lenet"),
              ElementsAre("Conv1.weight", "Conv1.bias", "Conv2.weight", "Conv2.bias",
                          "Dense3.weight", "Dense3.bias", "Dense4.weight", "Dense4.bias"));
}

TEST(LeNet, StartsFromKerasGlorotUniformAndZeroBias) {
  LeNet model;
  model.initialize(at::detail::createCPUGenerator(1));
  const auto weights_fill = [](const at::Tensor& weight, double limit) {
    const double largest = weight.abs().max().item<double>();
    EXPECT_LE(largest, limit * (1 + 1e-6));
    EXPECT_GE(largest, limit * 0.97);
    EXPECT_NEAR(weight.mean().item<double>(), 0, limit / 10);
  };
  weights_fill(model.conv1->weight, std::sqrt(6.0 / (25 + 20 * 25)));
  weights_fill(model.conv2->weight, std::sqrt(6.0 / (20 * 25 + 50 * 25)));
  weights_fill(model.dense3->weight, std::sqrt(6.0 / (2450 + 500)));
  weights_fill(model.dense4->weight, std::sqrt(6.0 / (500 + 10)));
  EXPECT_EQ(model.dense3->bias.abs().sum().item<double>(), 0);
}

// Also the outputs after quantization: an extrinsic rule for Conv1 acts after the ReLU, as in
// Keras.
TEST(LeNet, GivesTheOutputsOfConv1Conv2AndDense3AfterTheirRelu) {
  const ModelInfo& info = find_model("lenet");
  const auto model = make_model(info);
  model->eval();
  std::map<std::string, double> least;
  set_output_observer(model, [&](const std::string& layer, const at::Tensor& output) {
    least[layer] = output.min().item<double>();
  });
  const ImageDataset data = test_images(info, 4);
  model->forward(preprocess(info, data, batch_indices(data, 0, 4)));
  for (const char* layer : {"Conv1", "Conv2", "Dense3"}) EXPECT_EQ(least.at(layer), 0) << layer;
  EXPECT_LT(least.at("Dense4"), 0);
}

TEST(LeNet, ComputesWhatLibtorchsOwnLayersCompute) {
  LeNet model;
  const at::Tensor images = at::rand({3, 1, 28, 28});
  at::Tensor x = images;
  x = at::max_pool2d(at::conv2d(x, model.conv1->weight, model.conv1->bias, 1, 2).relu(), 2);
  x = at::max_pool2d(at::conv2d(x, model.conv2->weight, model.conv2->bias, 1, 2).relu(), 2);
  x = at::linear(x.flatten(1), model.dense3->weight, model.dense3->bias).relu();
  x = at::linear(x, model.dense4->weight, model.dense4->bias);
  EXPECT_TRUE(at::allclose(model.forward(images), x, 1e-4, 1e-5));
}

TEST(LeNet5, HasTheNamesOfItsCheckpoint) {
  EXPECT_THAT(
      parameter_names("lenet5"),
      ElementsAre("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "conv3.weight",
                  "conv3.bias", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"));
}

TEST(ResNet, NamesItsAdditionsAndActivations) {
  const std::vector<std::string> names = layer_names(*make_model(find_model("resnet20")));
  EXPECT_THAT(names, IsSupersetOf({"input", "conv1", "bn1", "relu", "layer1.0.conv1",
                                   "layer1.0.bn1", "layer1.0.relu1", "layer1.0.conv2",
                                   "layer1.0.bn2", "layer1.0.add", "layer1.0.relu2",
                                   "layer2.0.shortcut", "layer3.2.add", "avgpool", "linear"}));
  EXPECT_THAT(names, testing::Not(testing::Contains("layer1.0.shortcut")));
}

TEST(ResNet, HasThePapersNumberOfParameters) {
  const std::map<std::string, std::int64_t> expected = {{"resnet20", 269722},
                                                        {"resnet32", 464154},
                                                        {"resnet44", 658586},
                                                        {"resnet56", 853018},
                                                        {"resnet110", 1727962}};
  for (const auto& [name, count] : expected) {
    std::int64_t sum = 0;
    for (const at::Tensor& p : make_model(find_model(name))->parameters()) sum += p.numel();
    EXPECT_EQ(sum, count) << name;
  }
}

TEST(PadShortcut, TakesEverySecondPixelAndPadsTheChannelsOnBothSides) {
  const at::Tensor x = at::arange(1, 33).to(at::kFloat).view({1, 2, 4, 4});
  const at::Tensor y = PadShortcut()(x);
  ASSERT_EQ(y.sizes(), (std::vector<std::int64_t>{1, 4, 2, 2}));
  EXPECT_EQ(y.slice(1, 0, 1).abs().sum().item<float>(), 0);
  EXPECT_EQ(y.slice(1, 3, 4).abs().sum().item<float>(), 0);
  EXPECT_TRUE(at::equal(y[0][1], at::tensor({1.F, 3.F, 9.F, 11.F}).view({2, 2})));
  EXPECT_TRUE(at::equal(y[0][2], at::tensor({17.F, 19.F, 25.F, 27.F}).view({2, 2})));
}

TEST(Preprocess, DividesBy255) {
  const ModelInfo& info = find_model("lenet");
  ImageDataset data = test_images(info, 2);
  data.pixels[784 + 28 + 2] = 51;
  const std::vector<std::size_t> indices = {1};
  const at::Tensor images = preprocess(info, data, indices);
  EXPECT_EQ(images.sizes(), (std::vector<std::int64_t>{1, 1, 28, 28}));
  EXPECT_EQ(images[0][0][1][2].item<float>(), 51.0F / 255.0F);
}

TEST(Preprocess, NormalizesEachChannelForResNet) {
  const ModelInfo& info = find_model("resnet20");
  ImageDataset data = test_images(info, 3);
  const std::size_t last_blue = 3 * 3 * 32 * 32 - 1;
  data.pixels[0] = 255;
  data.pixels[last_blue] = 0;
  const std::vector<std::size_t> indices = {2, 0};
  const at::Tensor images = preprocess(info, data, indices);
  EXPECT_EQ(images[1][0][0][0].item<float>(), (1.0F - 0.485F) / 0.229F);
  EXPECT_EQ(images[0][2][31][31].item<float>(), (0.0F - 0.406F) / 0.225F);
  EXPECT_TRUE(at::equal(labels_of(data, indices), at::tensor({2, 0}, at::kLong)));
}

TEST(Preprocess, RefusesImagesOfAnotherSize) {
  const ImageDataset data = test_images(find_model("lenet"), 1);
  EXPECT_THAT(
      [&] { require_fit(find_model("resnet20"), data, "digits"); },
      ThrowsMessage<Error>("digits: resnet20 takes images of 3 x 32 x 32, found 1 x 28 x 28"));
}

}  // namespace
}  // namespace tensorquant
