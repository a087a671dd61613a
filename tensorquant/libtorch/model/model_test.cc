// Overrides of whole models: names, rules, errors, summaries, copies.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/libtorch.h"

namespace tensorquant {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::ThrowsMessage;
using torch::Tensor;

// A user's model: written against a namespace `nn`.
struct NetImpl : torch::nn::Cloneable<NetImpl> {
  NetImpl() { NetImpl::reset(); }
  void reset() override {
    features = register_module("features", nn::Sequential());
    features->push_back("conv1", nn::Conv2d(1, 2, 3));
    features->push_back("relu1", nn::ReLU());
    fc1 = register_module("fc1", nn::Linear(32, 4));
    fc2 = register_module("fc2", nn::Linear(4, 3));
  }
  Tensor forward(const Tensor& x) { return fc2(torch::relu(fc1(features->forward(x).flatten(1)))); }
  nn::Sequential features{nullptr};
  nn::Linear fc1{nullptr}, fc2{nullptr};
};
TORCH_MODULE(Net);

std::string weight_of(ModelRef model, const std::string& layer) {
  for (const LayerSummary& row : summary(model)) {
    if (row.layer == layer) return row.weight;
  }
  ADD_FAILURE() << "no layer " << layer;
  return "";
}

const Tensor& image() {
  static const Tensor pixels = torch::randn({2, 1, 6, 6});
  return pixels;
}

TEST(Apply, PutsQuantizersWhereTheRulesSay) {
  Net net;
  const auto report = apply(net, Override::from_json(R"({
      "weights": {"conv": "nearest,8,4", "fc1": {"weight": "nearest,8,6"}, "": "ternary"},
      "extrinsic": {"=features.relu1": "nearest,8,2", "re:fc[0-9]": null}})"));
  EXPECT_THAT(report.warnings, IsEmpty());
  const auto rows = summary(net);
  ASSERT_THAT(rows, SizeIs(4));
  EXPECT_EQ(rows[0].layer, "features.conv1");
  EXPECT_EQ(rows[0].type, "Conv2d");
  EXPECT_EQ(rows[0].weight, "nearest,8,4");
  EXPECT_EQ(rows[0].bias, "nearest,8,4");
  EXPECT_EQ(rows[0].output, "");
  EXPECT_THAT(rows[0].rule, HasSubstr("\"conv\""));
  EXPECT_EQ(rows[1].weight, "") << "a ReLU has no parameters";
  EXPECT_EQ(rows[1].output, "nearest,8,2");
  EXPECT_EQ(rows[2].weight, "nearest,8,6");
  EXPECT_EQ(rows[2].bias, "");
  EXPECT_EQ(rows[3].weight, "ternary");
  EXPECT_THAT(to_table(rows), HasSubstr("features.conv1  Conv2d  nearest,8,4"));
}

TEST(Apply, TakesAModelHoweverItIsHeld) {
  const Override maps = Override::from_json(R"({"weights": "nearest,8,4"})");
  NetImpl on_the_stack;
  apply(on_the_stack, maps);
  const auto shared = std::make_shared<NetImpl>();
  apply(shared, maps);
  const std::shared_ptr<torch::nn::Module> base = shared;
  apply(base, maps);
  nn::Linear layer(2, 2);
  apply(layer, maps);
  EXPECT_EQ(weight_of(on_the_stack, "fc1"), "nearest,8,4");
  EXPECT_EQ(weight_of(base, "fc1"), "nearest,8,4");
  EXPECT_EQ(weight_of(layer, ""), "nearest,8,4");
}

TEST(Apply, ReplacesWhatWasThere) {
  Net net;
  const Tensor plain = net(image());
  apply(net, Override::from_json(R"({"weights": "nearest,8,2", "extrinsic": "nearest,8,2"})"));
  const Tensor quantized = net(image());
  EXPECT_FALSE(torch::equal(quantized, plain));
  apply(net, Override::from_json(R"({"weights": {"fc1": "nearest,8,4"}})"));
  EXPECT_EQ(weight_of(net, "fc2"), "");
  apply(net, Override());
  EXPECT_TRUE(torch::equal(net(image()), plain));
  apply(net, Override::from_json(R"({"weights": "nearest,8,2", "extrinsic": "nearest,8,2"})"));
  EXPECT_TRUE(torch::equal(net(image()), quantized));
  strip(net);
  EXPECT_TRUE(torch::equal(net(image()), plain));
  EXPECT_EQ(summary(net)[0].rule, "");
}

TEST(Apply, NamesAllLayersThatAreNotQuantizableAndChangesNothing) {
  nn::Sequential model(nn::Linear(2, 2), torch::nn::Linear(2, 2), torch::nn::Tanh());
  apply(model, Override::from_json(R"({"weights": {"=0": "nearest,8,4"}})"));
  EXPECT_THAT([&] { apply(model, Override::from_json(R"({"weights": "nearest,8,2"})")); },
              ThrowsMessage<Error>(AllOf(HasSubstr("'1' (Linear)"), HasSubstr("'2' (Tanh)"),
                                         Not(HasSubstr("'0'")))));
  EXPECT_EQ(weight_of(model, "0"), "nearest,8,4");
  EXPECT_THROW(apply(model, Override::from_json(R"({"extrinsic": {"1": "nearest,8,2"}})")), Error);
  EXPECT_THROW(apply(model, Override::from_json(R"({"intrinsic": {"1": "nearest,8,2"}})")), Error);
  apply(model, Override::from_json(R"({"weights": {"1": null, "2": "none", "": "nearest,8,2"}})"));
  EXPECT_EQ(weight_of(model, "0"), "nearest,8,2");
  EXPECT_FALSE(summary(model)[1].quantizable);
}

TEST(Apply, RefusesTheMapsOfTrainingAndChangesNothing) {
  Net net;
  apply(net, Override::from_json(R"({"weights": "fp16"})"));
  EXPECT_THAT(
      [&] { apply(net, Override::from_json(R"({"weights": "bf16", "optimizer": "bf16"})")); },
      ThrowsMessage<Error>("line 1, column 34: the optimizer map is for tensorquant.torch in "
                           "Python; here nothing of training is quantized"));
  EXPECT_EQ(weight_of(net, "fc1"), "fp16");
}

TEST(Apply, ReportsRulesThatDoNothing) {
  Net net;
  Override maps =
      Override::from_json(R"({"weights": {"fc": "nearest,8,4", "fc1": "ternary", "typo": "binary"},
                                  "extrinsic": {"features": "nearest,8,4"}})");
  const auto report = apply(net, maps);
  EXPECT_THAT(report.warnings,
              ElementsAre(AllOf(HasSubstr("fc1"), HasSubstr("fc")), HasSubstr("typo")));
  maps.strict = true;
  EXPECT_THAT([&] { apply(net, maps); }, ThrowsMessage<Error>(HasSubstr("typo")));
  EXPECT_EQ(
      apply(net, Override::from_json(R"({"extrinsic": {"=features": "binary"}})")).warnings.size(),
      1U)
      << "a container is not a layer";
}

TEST(Apply, GivesTheModelsInputAQuantizer) {
  Net net;
  const auto report = apply(net, Override::from_json(R"({"extrinsic": {"input": "nearest,8,2"}})"));
  EXPECT_THAT(report.warnings, IsEmpty());
  EXPECT_EQ(report.input(torch::full({1}, 0.3F)).item<float>(), 0.25F);
  EXPECT_EQ(input_quantizer(net)(torch::full({1}, 0.3F)).item<float>(), 0.25F);
  EXPECT_EQ(input_quantizer(clone(net)).quantizer()->spec(), "nearest,8,2");
  // The other maps have nothing to do with the input.
  EXPECT_THAT(apply(net, Override::from_json(R"({"weights": {"input": "nearest,8,2"}})")).warnings,
              SizeIs(1));
  EXPECT_FALSE(input_quantizer(net));
  EXPECT_EQ(input_quantizer(net)(torch::full({1}, 0.3F)).item<float>(), 0.3F);
}

TEST(Apply, LeavesTheInputToALayerOfThatName) {
  nn::Sequential model;
  model->push_back("input", nn::Identity());
  const auto report =
      apply(model, Override::from_json(R"({"extrinsic": {"input": "nearest,8,2"}})"));
  EXPECT_FALSE(report.input);
  EXPECT_EQ(model->forward(torch::full({1}, 0.3F)).item<float>(), 0.25F);
}

TEST(Apply, NamesASharedLayerByItsFirstName) {
  nn::Linear shared(2, 2);
  nn::Sequential model;
  model->push_back("a", shared);
  model->push_back("b", shared);
  apply(model, Override::from_json(R"({"weights": "nearest,8,4"})"));
  ASSERT_THAT(summary(model), SizeIs(1));
  EXPECT_EQ(weight_of(model, "a"), "nearest,8,4");
  EXPECT_THAT([&] { apply(model, Override::from_json(R"({"weights": {"b": "nearest,8,2"}})")); },
              ThrowsMessage<Error>(AllOf(HasSubstr("'a' and 'b'"), HasSubstr("different rules"))));
  apply(model, Override::from_json(R"({"weights": {"b": "ternary", "a": "ternary"}})"));
}

TEST(Clone, KeepsQuantizersThatTheUsersParentLoses) {
  Net net;
  apply(net, Override::from_json(R"({"weights": "nearest,8,2", "extrinsic": "stochastic,8,2"})"));
  net(image());
  Net copy = clone(net);
  const std::shared_ptr<NetImpl> second = clone(net.ptr());
  EXPECT_EQ(layer_steps(copy).at("fc1"), 1U);
  EXPECT_EQ(weight_of(copy, "fc1"), "nearest,8,2");
  const Tensor expected = net(image());
  EXPECT_TRUE(torch::equal(copy(image()), expected)) << "the random numbers are those of the model";
  EXPECT_TRUE(torch::equal(second->forward(image()), expected));
  const std::shared_ptr<NetImpl> third = clone(*second);
  EXPECT_TRUE(torch::equal(third->forward(image()), second->forward(image())));
  strip(copy);
  EXPECT_NE(weight_of(net, "fc1"), "") << "the copy is its own";
}

TEST(Archives, AreThoseOfTheFloatModel) {
  Net net, other;
  apply(net, Override::from_json(R"({"weights": "nearest,8,2"})"));
  std::stringstream archive;
  torch::save(net, archive);
  torch::load(other, archive);
  apply(other, Override::from_json(R"({"weights": "nearest,8,2"})"));
  EXPECT_TRUE(torch::equal(net(image()), other(image())));
  strip(net);
  strip(other);
  EXPECT_TRUE(torch::equal(net(image()), other(image())));
}

TEST(Training, MovesTheFloatParametersOfAQuantizedModel) {
  torch::manual_seed(1);
  Net net;
  apply(net, Override::from_json(R"({"weights": "nearest,8,4", "extrinsic": "nearest,8,4"})"));
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  const Tensor x = torch::randn({16, 1, 6, 6}), labels = torch::arange(16).remainder(3);
  const auto loss = [&] { return torch::nn::functional::cross_entropy(net(x), labels); };
  const float first = loss().item<float>();
  for (int i = 0; i < 200; ++i) {
    optimizer.zero_grad();
    loss().backward();
    optimizer.step();
  }
  net->eval();
  const torch::NoGradGuard no_gradient;
  EXPECT_LT(loss().item<float>(), first / 2);
  EXPECT_FALSE(torch::equal(net->fc1->weight, torch::round(net->fc1->weight * 16) / 16));
}

TEST(Observer, SeesEachOutputWithAndWithoutQuantizers) {
  Net net;
  std::vector<std::string> names;
  Tensor last;
  const auto watch = [&](const std::string& layer, const Tensor& output) {
    names.push_back(layer);
    last = output;
  };
  set_output_observer(net, watch);
  EXPECT_TRUE(torch::equal(net(image()), last));
  EXPECT_THAT(names, ElementsAre("features.conv1", "features.relu1", "fc1", "fc2"));
  apply(net, Override::from_json(R"({"extrinsic": "nearest,8,2"})"));
  const Tensor y = net(image());
  EXPECT_TRUE(torch::equal(y, last));
  EXPECT_TRUE(torch::equal(y, torch::round(y * 4) / 4));
  strip(net);
  net(image());
  EXPECT_EQ(names.size(), 12U);
  set_output_observer(net, {});
  net(image());
  EXPECT_EQ(names.size(), 12U);

  names.clear();
  nn::LSTM lstm(2, 3);
  set_output_observer(lstm, watch);
  lstm(torch::ones({1, 1, 2}));
  EXPECT_THAT(names, ElementsAre("", ":output1", ":output2"));
}

}  // namespace
}  // namespace tensorquant
