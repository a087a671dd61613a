#include "tensorquant/models/fisher.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tensorquant/base/error.h"
#include "tensorquant/models/evaluator.h"
#include "tensorquant/models/layer_costs.h"
#include "tensorquant/models/sensitivity.h"
#include "tensorquant/models/test_images.h"

namespace tensorquant {
namespace {

using Choices = std::vector<std::vector<std::shared_ptr<const Quantizer>>>;

Choices the_same(const std::vector<LayerPlace>& places, const std::vector<std::string>& specs) {
  Choices choices(places.size());
  for (auto& of_place : choices) {
    for (const std::string& spec : specs) of_place.push_back(make_quantizer(spec));
  }
  return choices;
}

// At the last layer g_c . d = p . d - d_c, so the score is half the variance of d under p.
TEST(FisherScores, OfTheLastLayerAreHalfTheVarianceOfTheChange) {
  const ModelInfo& info = find_model("lenet5");
  const auto model = make_model(info);
  const ImageDataset data = test_images(info, 20);  // more than one part
  const std::vector<LayerPlace> places = {{Place::weight, "fc2"}, {Place::output, "fc2"}};
  const auto scores = fisher_scores(info, *model, data, layer_facts(info, *model), places,
                                    the_same(places, {"nearest,5,4", "nearest,3,2"}));
  Evaluator evaluator(classifier_runs(info, *model, data, 20));
  const at::Tensor logits = evaluator.logits({}).to(at::kDouble), p = logits.softmax(1);
  for (std::size_t c = 0; c < 2; ++c) {
    for (std::size_t i = 0; i < 2; ++i) {
      const auto quantizer = make_quantizer(c == 0 ? "nearest,5,4" : "nearest,3,2");
      const Override maps = maps_of({&places[i], 1}, {&quantizer, 1});
      const at::Tensor d = evaluator.logits(maps).to(at::kDouble) - logits;
      const at::Tensor mean = (p * d).sum(1);
      const double expected = ((p * d.square()).sum(1) - mean.square()).mean().item<double>() / 2;
      EXPECT_NEAR(scores[i][c], expected, 1e-5 * expected) << places[i].text();
    }
  }
}

// lenet has layers with a ReLU of their own, resnet20 additions and batch norms.
TEST(FisherScores, AreTheKlOfSmallChanges) {
  for (const std::string name : {"lenet", "resnet20"}) {
    const ModelInfo& info = find_model(name);
    const auto model = make_model(info);
    for (const auto& parameter : model->named_parameters()) {  // biases would be 0
      const at::NoGradGuard no_grad;
      if (parameter.key().ends_with("bias")) {
        parameter.value().uniform_(-0.3, 0.3, at::detail::createCPUGenerator(3));
      }
    }
    const ImageDataset data = test_images(info, 12);
    const std::vector<LayerFacts> facts = layer_facts(info, *model);
    const std::vector<std::string> names =
        name == "lenet" ? std::vector<std::string>{"weights", "outputs", "bias:Conv2", "input"}
                        : std::vector<std::string>{"weight:conv1", "output:layer2.0.relu1",
                                                   "weight:layer3.0.conv2"};
    const std::vector<LayerPlace> places = places_of(facts, *model, names);
    const auto found =
        choices_for(classifier_runs(info, *model, data, 12), places, {.widths = {12}});
    Choices choices;
    for (const auto& one : found) choices.push_back({one.front().quantizer});
    const auto scores = fisher_scores(info, *model, data, facts, places, choices);
    Evaluator evaluator(classifier_runs(info, *model, data, 12));
    for (std::size_t i = 0; i < places.size(); ++i) {
      const double kl = evaluator.metrics(maps_of({&places[i], 1}, choices[i])).kl;
      EXPECT_NEAR(scores[i][0], kl, 0.1 * kl) << places[i].text();
      EXPECT_GT(kl, 0) << places[i].text();
    }
  }
}

}  // namespace
}  // namespace tensorquant
