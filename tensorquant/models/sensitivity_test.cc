#include "tensorquant/models/sensitivity.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/models/evaluation.h"
#include "tensorquant/models/layer_costs.h"
#include "tensorquant/models/test_images.h"

namespace tensorquant {
namespace {

std::vector<std::string> places_named(const std::string& model_name,
                                      const std::vector<std::string>& names) {
  const ModelInfo& info = find_model(model_name);
  const auto model = make_model(info);
  std::vector<std::string> texts;
  for (const LayerPlace& place : places_of(layer_facts(info, *model), *model, names)) {
    texts.push_back(place.text());
  }
  return texts;
}

TEST(PlacesOf, AreWeightsOfProductsAndOutputsOfActivations) {
  EXPECT_THAT(places_named("lenet", {"weights", "outputs"}),
              testing::ElementsAre("weight:Conv1", "output:Conv1", "weight:Conv2", "output:Conv2",
                                   "weight:Dense3", "output:Dense3", "weight:Dense4"));
  EXPECT_THAT(places_named("lenet", {"output:Dense4", "biases", "input"}),
              testing::ElementsAre("output:input", "bias:Conv1", "bias:Conv2", "bias:Dense3",
                                   "bias:Dense4", "output:Dense4"));
  EXPECT_EQ(places_named("resnet20", {"weights"}).size(), 20U);
  EXPECT_EQ(places_named("resnet20", {"outputs"}).size(), 19U);
  EXPECT_THROW(places_named("lenet", {"weight:Flatten"}), Error);
  EXPECT_THROW(places_named("lenet", {"weight"}), Error);
}

// Sum of (q(x) - x)^2 for nearest,bits,F by libtorch's own operations in double.
double error_by_libtorch(const at::Tensor& x, int bits, int fraction) {
  const double limit = std::ldexp(1.0, bits - 1), scale = std::ldexp(1.0, fraction);
  const at::Tensor scaled = x.to(at::kDouble) * scale;
  const at::Tensor rounded = (scaled.abs() + 0.5).floor() * scaled.sign();
  return ((rounded.clamp(-limit, limit - 1) - scaled) / scale).square().sum().item<double>();
}

TEST(ChoicesFor, HaveTheFractionOfTheLeastSquaredError) {
  const ModelInfo& info = find_model("lenet5");
  const auto model = make_model(info);
  const ImageDataset data = test_images(info, 7);
  const std::vector<LayerPlace> places = {{Place::weight, "conv2"}, {Place::output, "relu2"}};
  const std::vector<int> widths = {8, 3};
  const auto choices =
      choices_for(classifier_runs(info, *model, data, 3), places, {.widths = widths});
  std::map<std::string, at::Tensor> outputs;
  for (const auto& [layer, output] : trace_first_batch(info, *model, data, 7))
    outputs[layer] = output;
  const std::vector<at::Tensor> tensors = {model->named_parameters()["conv2.weight"].detach(),
                                           outputs["relu2"]};
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (std::size_t w = 0; w < widths.size(); ++w) {
      const auto& fixed = std::get<FixedPoint>(*choices[i][w].quantizer->format());
      EXPECT_EQ(fixed.bits, widths[w]);
      ValueRange range;
      range.include(tensors[i].min().item<double>(), tensors[i].max().item<double>(), "");
      const int cover = fraction_for(widths[w], range);
      int best = cover;
      for (int f = cover; f <= cover + 3; ++f) {
        if (error_by_libtorch(tensors[i], widths[w], f) <
            error_by_libtorch(tensors[i], widths[w], best))
          best = f;
      }
      EXPECT_EQ(fixed.fraction, best) << places[i].text();
      const double expected = error_by_libtorch(tensors[i], widths[w], best) /
                              tensors[i].to(at::kDouble).square().sum().item<double>();
      EXPECT_NEAR(*choices[i][w].fit.noise(), expected, 1e-9 * expected);
    }
  }
}

TEST(ChoicesFor, ThatCoverSaturateNothingAndGivenOnesAreTakenAsTheyAre) {
  const ModelInfo& info = find_model("lenet");
  const auto model = make_model(info);
  const ImageDataset data = test_images(info, 2);
  const std::vector<LayerPlace> places = {{Place::bias, "Conv1"}, {Place::output, "Dense3"}};
  for (const auto& choices : choices_for(classifier_runs(info, *model, data, 128), places,
                                         {.widths = {4}, .cover = true}))
    EXPECT_EQ(choices[0].fit.counts.saturated, 0U);
  const ChoiceOptions given = {
      .quantizers = {make_quantizer("float,4,3"), make_quantizer("binary")}};
  for (const auto& choices : choices_for(classifier_runs(info, *model, data, 128), places, given)) {
    ASSERT_EQ(choices.size(), 2U);
    EXPECT_EQ(choices[0].quantizer->spec(), "float,4,3");
  }
}

}  // namespace
}  // namespace tensorquant
