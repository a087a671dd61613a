// What layers count of what they quantize.

#include "tensorquant/libtorch/model/observers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/libtorch.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

namespace o = torch::nn;  // options

Override maps_of(const std::string& json) { return Override::from_json(json); }

// A layer whose weight is (1, 100, 0.01) and whose bias is 0.
nn::Sequential linear() {
  nn::Sequential model;
  model->push_back("fc", nn::Linear(o::LinearOptions(3, 1)));
  const torch::NoGradGuard no_grad;
  model->named_parameters()["fc.weight"].copy_(torch::tensor({{1.0F, 100.0F, 0.01F}}));
  model->named_parameters()["fc.bias"].zero_();
  return model;
}

TEST(KernelUses, AreThoseOfTheLayersThatRound) {
  nn::Sequential model = linear();
  model->push_back("relu", nn::ReLU());
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::tensor({{1.0F, 0.5F, 0.25F}});
  model->forward(x);
  EXPECT_TRUE(kernel_uses(model).empty());
  apply(model, maps_of(R"({"intrinsic": "nearest,32,16"})"));
  EXPECT_TRUE(kernel_uses(model).empty());
  for (int i = 0; i < 3; ++i) model->forward(x);
  const std::vector<LayerKernelUse> uses = kernel_uses(model);
  ASSERT_EQ(uses.size(), 1U);
  EXPECT_EQ(uses[0].layer, "fc");
  EXPECT_EQ(uses[0].use.calls, 3U);
  EXPECT_NE(uses[0].use.plan.kernel, SumKernel::reference);
  EXPECT_NE(uses[0].use.plan.reason, "");
  model->forward(x / 0);  // infinities, of which no fast loop is proved
  EXPECT_EQ(kernel_uses(model).size(), 2U);
  apply(model, maps_of(R"({"intrinsic": "float,5,10"})"));
  EXPECT_TRUE(kernel_uses(model).empty());
}

TEST(PlaceReports, CountWhatEachQuantizerGets) {
  nn::Sequential model = linear();
  apply(model, maps_of(R"({"weights": "nearest,8,4", "extrinsic": "nearest,6,0"})"));
  record_ranges(model);
  model->eval();
  const torch::NoGradGuard no_grad;
  // The weight has become (1, 7.9375, 0): outputs are 40, which saturates, 0.25 and -1.
  model->forward(torch::tensor({{40.0F, 0.0F, 9.0F}, {0.25F, 0.0F, 9.0F}, {-1.0F, 0.0F, 9.0F}}));
  model->forward(torch::tensor({{50.0F, 0.0F, 9.0F}}));
  const std::vector<LayerPlaceReport> all = place_reports(model);
  ASSERT_EQ(all.size(), 3U);
  for (const LayerPlaceReport& place : all) EXPECT_EQ(place.layer, "fc");
  const PlaceReport &weight = all[0].place, &bias = all[1].place, &output = all[2].place;
  EXPECT_EQ(weight.place, "weight");
  EXPECT_EQ(weight.quantizer->spec(), "nearest,8,4");
  EXPECT_EQ(weight.report.storage->value_bits, 8);
  EXPECT_EQ(weight.report.values, 3U);  // quantized once for both calls
  EXPECT_EQ(weight.report.saturated, 1U);
  EXPECT_EQ(weight.report.became_zero, 1U);
  EXPECT_EQ(weight.report.highest, 100);
  EXPECT_EQ(bias.place, "bias");
  EXPECT_EQ(bias.report.values, 1U);
  EXPECT_EQ(bias.report.nonzero, 0U);
  EXPECT_EQ(output.place, "output");
  EXPECT_EQ(output.report.values, 4U);
  EXPECT_EQ(output.report.saturated, 2U);
  EXPECT_EQ(output.report.became_zero, 1U);
  EXPECT_EQ(output.report.lowest, -1);
  EXPECT_EQ(output.report.highest, 50);
}

TEST(PlaceReports, BeginAndEndWithRecordRanges) {
  nn::Sequential model = linear();
  apply(model, maps_of(R"({"weights": {"": {"weight": "nearest,8,4"}}})"));
  model->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::ones({1, 3});
  model->forward(x);  // quantizes the weight, before anybody counts
  EXPECT_TRUE(place_reports(model).empty());
  record_ranges(model);
  EXPECT_TRUE(place_reports(model).empty());
  model->forward(x);
  ASSERT_EQ(place_reports(model).size(), 1U);
  EXPECT_EQ(place_reports(model)[0].place.report.values, 3U);
  EXPECT_TRUE(ranges(model).empty());  // no layer rounds its arithmetic
  record_ranges(model);                // from nothing
  EXPECT_TRUE(place_reports(model).empty());
  record_ranges(model, false);
  model->forward(x);
  EXPECT_TRUE(place_reports(model).empty());
}

TEST(PlaceReports, OfReluCountItsResult) {
  nn::Sequential model;
  model->push_back("relu", nn::ReLU());
  apply(model, maps_of(R"({"extrinsic": "nearest,4,0"})"));
  record_ranges(model);
  const torch::Tensor x = torch::tensor({-100.0F, -0.1F, 0.1F, 3.0F, 9.0F}).requires_grad_();
  const torch::Tensor y = model->forward(x);
  EXPECT_TRUE(torch::equal(y, torch::tensor({0.0F, 0.0F, 0.0F, 3.0F, 7.0F})));
  const QuantizerReport report = place_reports(model).at(0).place.report;
  EXPECT_EQ(report.values, 5U);
  EXPECT_EQ(report.nonzero, 3U);
  EXPECT_EQ(report.saturated, 1U);
  EXPECT_EQ(report.became_zero, 1U);
}

TEST(PlaceReports, ChangeNoResultAndNoGradient) {
  for (const char* extrinsic : {"nearest,6,3", "stochastic,6,3", "mxfp4", "ternary",
                                "nearest,6,3,grad=clipped", "int,8,per=channel,scale=max"}) {
    torch::manual_seed(1);
    nn::Sequential model(nn::Conv2d(o::Conv2dOptions(2, 3, 3)), nn::ReLU(), nn::Conv2d(3, 2, 2));
    apply(model, maps_of(std::string(R"({"weights": "stochastic,6,4", "extrinsic": ")") +
                         extrinsic + "\"}"));
    const auto steps = layer_steps(model);
    const auto run = [&] {
      model->zero_grad();
      set_layer_steps(model, steps);
      const torch::Tensor x = torch::linspace(-3, 3, 2 * 2 * 6 * 6).reshape({2, 2, 6, 6});
      const torch::Tensor y = model->forward(x);
      y.square().sum().backward();
      std::vector<torch::Tensor> all = {y.detach().flatten()};
      for (const torch::Tensor& p : model->parameters()) all.push_back(p.grad().flatten());
      return torch::cat(all).clone();
    };
    const torch::Tensor plain = run();
    record_ranges(model);
    EXPECT_TRUE(torch::equal(run(), plain)) << extrinsic;
    EXPECT_EQ(place_reports(model).size(), 7U) << extrinsic;
  }
}

// Transposed and channels last: random words and groups go by C order.
TEST(PlaceReports, CountInCOrderWhateverTheStrides) {
  const torch::Tensor x = torch::linspace(-9, 9, 2 * 40 * 5 * 3).reshape({2, 40, 5, 3});
  for (const char* spec : {"stochastic,4,0", "mxfp4", "nearest,4,0"}) {
    const auto quantizer = make_quantizer(spec);
    const QuantizerReport wanted = report_of(x, *quantizer);
    EXPECT_GT(wanted.saturated.value() + wanted.became_zero, 0U) << spec;
    for (const torch::Tensor& other :
         {x.contiguous(at::MemoryFormat::ChannelsLast),
          x.permute({3, 2, 1, 0}).contiguous().permute({3, 2, 1, 0})}) {
      const QuantizerReport report = report_of(other, *quantizer);
      EXPECT_EQ(report.saturated, wanted.saturated) << spec;
      EXPECT_EQ(report.became_zero, wanted.became_zero) << spec;
    }
  }
}

TEST(PlaceReports, NameTheSecondOutput) {
  nn::Sequential model;
  nn::LSTM lstm(o::LSTMOptions(2, 3));
  apply(lstm, maps_of(R"({"weights": "nearest,8,4", "extrinsic": "nearest,8,4"})"));
  record_ranges(lstm);
  lstm->forward(torch::ones({1, 1, 2}));
  std::vector<std::string> places;
  for (const LayerPlaceReport& place : place_reports(lstm)) places.push_back(place.place.place);
  EXPECT_THAT(places, testing::ElementsAre("weight_ih_l0", "weight_hh_l0", "bias_ih_l0",
                                           "bias_hh_l0", "output", "output1", "output2"));
}

TEST(PlaceReports, OfATensorThatCannotBeQuantizedNameTheLayer) {
  nn::Sequential model = linear();
  apply(model, maps_of(R"({"extrinsic": "nearest,8,4"})"));
  model->to(torch::kBFloat16);
  record_ranges(model);
  EXPECT_THAT(
      [&] {
        model->forward(torch::ones({1, 3}).to(torch::kBFloat16));
      },
      ThrowsMessage<Error>(HasSubstr("layer 'fc': cannot quantize a tensor")));
}

}  // namespace
}  // namespace tensorquant
