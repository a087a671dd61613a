#include "tensorquant/models/training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tensorquant/base/test_files.h"
#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/models/checkpoint.h"
#include "tensorquant/models/evaluation.h"
#include "tensorquant/models/test_images.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;

// A model with random rounding of weights and outputs: its bits depend on every layer's step.
struct TestRun {
  explicit TestRun(const std::string& name, TrainingOptions options = kOptions)
      : model(make_model(find_model(name), 1)),
        data(test_images(find_model(name), 40)),
        trainer(training_task(find_model(name), model, data), options) {
    Override maps;
    maps.weights = QuantizerMap({{"", "stochastic,8,6"}});
    maps.extrinsic = QuantizerMap({{"", "stochastic,12,6"}}, MapKind::extrinsic);
    maps.seed = 3;
    tensorquant::apply(model, maps);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) trainer.step();
  }

  static constexpr TrainingOptions kOptions = {
      .epochs = 3, .batch_size = 16, .learning_rate = 1e-3, .seed = 1};
  std::shared_ptr<ImageClassifier> model;
  ImageDataset data;
  Trainer trainer;
};

void expect_same_state(Trainer& a, Trainer& b) {
  const Safetensors first = a.state(), second = b.state();
  EXPECT_EQ(first.metadata, second.metadata);
  ASSERT_EQ(first.tensors.size(), second.tensors.size());
  for (const auto& [name, array] : first.tensors) {
    EXPECT_EQ(array.bytes, second.tensors.at(name).bytes) << name;
  }
}

TEST(Trainer, RunsTwiceToTheSameBits) {
  for (const char* model : {"lenet", "resnet20"}) {
    TestRun a(model), b(model);
    a.steps(4);
    b.steps(4);
    expect_same_state(a.trainer, b.trainer);
  }
}

TEST(Trainer, ResumedRunsEqualUninterruptedOnes) {
  for (const char* model : {"lenet5", "resnet20"}) {
    TestRun whole(model), first(model), second(model);
    whole.steps(7);
    for (const int stop : {2, 3}) {  // within an epoch, and at its end
      TestRun before(model), after(model);
      before.steps(stop);
      after.trainer.restore(before.trainer.state(), "state");
      after.steps(7 - stop);
      expect_same_state(whole.trainer, after.trainer);
    }
  }
}

TEST(Trainer, LearnsThroughQuantizers) {
  TestRun run("lenet5", {.epochs = 30, .batch_size = 16, .learning_rate = 3e-3, .seed = 1});
  while (!run.trainer.finished()) run.trainer.step();
  EXPECT_EQ(run.trainer.results().size(), 30U);
  EXPECT_LT(run.trainer.results().back().loss, 0.5 * run.trainer.results().front().loss);
  const Evaluation result = evaluate(find_model("lenet5"), *run.model, run.data, 16);
  EXPECT_GE(result.accuracy(), 0.9);
}

TEST(Trainer, SaysWhenTheLossIsNoNumber) {
  TestRun run("lenet5");
  run.model->parameters()[0].data().fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(
      error_of([&] { run.trainer.step(); }),
      HasSubstr("the loss is NaN in epoch 1, batch 1; the first output that is not finite is that "
                "of 'conv1'"));
  EXPECT_TRUE(run.trainer.results().empty());
}

TEST(Trainer, RefusesAStateOfAnotherRun) {
  TestRun run("lenet5"), resnet("resnet20");
  run.steps(1);
  const Safetensors state = run.trainer.state();
  EXPECT_THAT(error_of([&] { resnet.trainer.restore(state, "s"); }), HasSubstr("s: does not fit"));
  EXPECT_EQ(error_of([&] { run.trainer.restore({}, "s"); }), "s: is no state of a training run");
  TestRun other("lenet5", {.epochs = 3, .batch_size = 20, .learning_rate = 1e-3, .seed = 1});
  EXPECT_THAT(error_of([&] { other.trainer.restore(state, "s"); }),
              HasSubstr("3 batches in an epoch, not 2"));
  for (const char* damage : {"{", "[]", R"({"batches": 3})",
                             R"({"batches": 3, "steps": 2, "layer_steps": {}, "results": []})"}) {
    Safetensors damaged = state;
    damaged.metadata["progress"] = damage;
    EXPECT_THAT(error_of([&] { run.trainer.restore(damaged, "s"); }), HasSubstr("s: damaged"));
  }
  Safetensors incomplete = state;
  incomplete.tensors.erase("adam/second/fc2.bias");
  EXPECT_THAT(error_of([&] { run.trainer.restore(incomplete, "s"); }), HasSubstr("fc2.bias"));
}

TEST(ShuffledIndices, HoldEveryImageOnceInAnotherOrderEachEpoch) {
  auto first = shuffled_indices(1000, 1, 0);
  EXPECT_EQ(first, shuffled_indices(1000, 1, 0));
  EXPECT_NE(first, shuffled_indices(1000, 1, 1));
  EXPECT_NE(first, shuffled_indices(1000, 2, 0));
  std::sort(first.begin(), first.end());
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i], i);
}

TEST(Evaluate, DependsOnTheBatchSizeOnlyWhereRoundingIsRandom) {
  const ModelInfo& info = find_model("lenet5");
  const auto model = make_model(info);
  const ImageDataset data = test_images(info, 21);
  const Evaluation a = evaluate(info, *model, data, 7), b = evaluate(info, *model, data, 8);
  EXPECT_TRUE(at::allclose(a.logits, b.logits, 1e-5, 1e-6));
  EXPECT_EQ(a.images, 21U);
  EXPECT_EQ(a.correct, b.correct);

  TestRun run("lenet5");
  const Evaluation c = evaluate(info, *run.model, data, 7), d = evaluate(info, *run.model, data, 7);
  EXPECT_TRUE(at::equal(c.logits, d.logits));
  EXPECT_FALSE(at::equal(c.logits, evaluate(info, *run.model, data, 8).logits));
}

TEST(TraceFirstBatch, HoldsEachLayersOutputInOrder) {
  const ModelInfo& info = find_model("lenet5");
  const auto model = make_model(info);
  const ImageDataset data = test_images(info, 6);
  const auto trace = trace_first_batch(info, *model, data, 4);
  std::vector<std::string> names;
  names.reserve(trace.size());
  for (const auto& [layer, output] : trace) names.push_back(layer);
  EXPECT_EQ(names, layer_names(*model));
  EXPECT_LT(trace[1].second.min().item<float>(), 0) << "conv1 was overwritten by relu1";
  EXPECT_TRUE(
      at::equal(trace.back().second, evaluate(info, *model, data, 4).logits.slice(0, 0, 4)));
}

}  // namespace
}  // namespace tensorquant
