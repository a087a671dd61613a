#include "tensorquant/models/evaluator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/models/evaluation.h"
#include "tensorquant/models/test_images.h"

namespace tensorquant {
namespace {

TEST(Evaluator, GivesTheBitsOfAnEvaluationWhateverCameBefore) {
  const ModelInfo& info = find_model("resnet20");
  const auto model = make_model(info), other = make_model(info);
  const ImageDataset data = test_images(info, 5);
  Evaluator evaluator(classifier_runs(info, *model, data, 2));
  const std::vector<Override> all = {
      {},
      Override::from_json(R"({"weights": {"layer3.2": "nearest,4,3"}})"),
      Override::from_json(R"({"weights": {"layer3.2": "nearest,3,2"}})"),
      Override::from_json(R"({"extrinsic": {"=layer2.1.relu1": "stochastic,5,3"}})"),
      Override::from_json(
          R"({"weights": {"=linear": "nearest,2,1"}, "extrinsic": {"input": "nearest,4,1"}})"),
      Override::from_json(R"({"weights": {"=linear": "nearest,2,1"}})"),
      {}};
  for (const Override& maps : all) {
    apply(*other, maps);
    EXPECT_TRUE(evaluator.logits(maps).equal(evaluate(info, *other, data, 2).logits))
        << maps.to_json();
  }
}

TEST(Evaluator, ThatWasInterruptedBeginsAnew) {
  const ModelInfo& info = find_model("lenet5");
  const auto model = make_model(info), other = make_model(info);
  const ImageDataset data = test_images(info, 4);
  int batches = 0;
  Evaluator evaluator(classifier_runs(info, *model, data, 2), [&] {
    if (++batches == 3) throw std::runtime_error("interrupted");
  });
  evaluator.logits({});
  const Override maps = Override::from_json(R"({"weights": {"conv1": "nearest,3,2"}})");
  EXPECT_THROW(evaluator.logits(maps), std::runtime_error);
  EXPECT_TRUE(evaluator.logits({}).equal(evaluate(info, *other, data, 2).logits));
}

TEST(Evaluator, MetricsAreThoseOfTheTwoLogits) {
  const ModelInfo& info = find_model("lenet");
  const auto model = make_model(info);
  const ImageDataset data = test_images(info, 6);
  Evaluator evaluator(classifier_runs(info, *model, data, 4));
  EXPECT_EQ(evaluator.metrics({}).kl, 0);
  const Override maps = Override::from_json(R"({"weights": "nearest,3,4"})");
  const LogitMetrics metrics = evaluator.metrics(maps);
  const at::Tensor p0 = evaluator.logits({}).to(at::kDouble).log_softmax(1);
  const at::Tensor p = evaluator.logits(maps).to(at::kDouble).log_softmax(1);
  EXPECT_NEAR(metrics.kl, (p0.exp() * (p0 - p)).sum(1).mean().item<double>(), 1e-12);
  EXPECT_GT(metrics.kl, 0);
}

TEST(Evaluator, TakesTheFloatModelsClassesWhereNobodyKnowsThem) {
  const ModelInfo& info = find_model("lenet");
  const auto model = make_model(info);
  const ImageDataset data = test_images(info, 6);
  ClassifierRuns runs = classifier_runs(info, *model, data, 4);
  runs.labels.clear();
  Evaluator evaluator(std::move(runs));
  EXPECT_EQ(evaluator.metrics({}).correct, 6U);
  const Override maps = Override::from_json(R"({"weights": "nearest,2,1"})");
  const LogitMetrics metrics = evaluator.metrics(maps);
  const at::Tensor same = evaluator.logits({}).argmax(1).eq(evaluator.logits(maps).argmax(1));
  EXPECT_EQ(metrics.correct, static_cast<std::size_t>(same.sum().item<std::int64_t>()));
  EXPECT_EQ(metrics.correct + metrics.flips, 6U);
}

}  // namespace
}  // namespace tensorquant
