// What a quantized layer keeps from call to call: the cache of evaluation mode, the steps of random
// rounding; and threads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <sstream>
#include <thread>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/libtorch/tensors/test_quantizers.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
using torch::Tensor;

class Cache : public testing::Test {
 protected:
  Cache() {
    apply(layer_, weights_with("nearest,16,12"));
    layer_->eval();
    evaluate();
  }
  Tensor evaluate() {
    const torch::NoGradGuard no_gradient;
    return layer_(x_);
  }
  // The layer uses its parameters as they are now.
  void expect_fresh() {
    const torch::NoGradGuard no_gradient;
    EXPECT_TRUE(torch::equal(
        evaluate(), torch::nn::functional::linear(x_, quantized(layer_->weight, "nearest,16,12"),
                                                  quantized(layer_->bias, "nearest,16,12"))));
  }
  void write_behind_libtorchs_back() { layer_->weight.data().add_(1); }

  nn::Linear layer_{7, 5};
  Tensor x_ = torch::randn({4, 7});
};

TEST_F(Cache, IsUsed) {
  const Tensor before = evaluate();
  write_behind_libtorchs_back();
  EXPECT_TRUE(torch::equal(evaluate(), before));  // the documented hole
  layer_->invalidate();
  expect_fresh();
}

TEST_F(Cache, SeesWritesThatCountVersions) {
  const torch::NoGradGuard no_gradient;
  layer_->weight.add_(1);
  expect_fresh();
  layer_->bias.copy_(torch::ones({5}));
  expect_fresh();
}

TEST_F(Cache, SeesNewStorage) {
  layer_->weight.set_data(torch::ones({5, 7}));
  expect_fresh();
  layer_->weight.set_data(torch::zeros({5, 7}));
  expect_fresh();
  std::stringstream archive;
  torch::save(nn::Linear(7, 5), archive);
  torch::load(layer_, archive);
  expect_fresh();
  layer_->to(torch::kDouble);
  x_ = x_.to(torch::kDouble);
  expect_fresh();
}

TEST_F(Cache, SeesAnotherLookAtTheSameStorage) {
  Tensor numbers = torch::randn({8, 8});
  const auto look = [&](const Tensor& weight) {
    layer_->weight.set_data(weight);
    expect_fresh();
  };
  x_ = torch::randn({4, 8});
  layer_->bias.set_data(torch::zeros({8}));
  look(numbers);
  look(numbers.t());
  look(torch::_neg_view(numbers.t()));
  look(numbers);
  layer_->bias.set_data(torch::zeros({1}));
  look(numbers.slice(0, 0, 4));
  look(numbers.slice(0, 1, 5));
  look(numbers.slice(0, 0, 8, 2));
  look(numbers.slice(0, 0, 3));
  look(numbers.as_strided({3, 8}, {0, 1}));
}

TEST_F(Cache, SeesTheSameStorageInAnotherType) {
  const Tensor numbers = torch::randn({5, 14});
  layer_->weight.set_data(numbers.view({5, 14}).slice(1, 0, 7));
  expect_fresh();
  x_ = x_.to(torch::kDouble);
  layer_->bias.set_data(layer_->bias.to(torch::kDouble));
  layer_->weight.set_data(numbers.view(torch::kDouble));
  expect_fresh();
}

TEST_F(Cache, IsDroppedByAForwardPassWithGradients) {
  torch::optim::SGD optimizer(layer_->parameters(), 0.1);  // which counts no versions
  layer_(x_).sum().backward();
  optimizer.step();
  expect_fresh();
}

TEST_F(Cache, IsDroppedByTrainAndToAndApply) {
  write_behind_libtorchs_back();
  layer_->train();
  layer_->eval();
  expect_fresh();
  write_behind_libtorchs_back();
  layer_->to(torch::kFloat);
  expect_fresh();
  write_behind_libtorchs_back();
  apply(layer_, weights_with("nearest,16,12"));
  expect_fresh();
  write_behind_libtorchs_back();
  invalidate(layer_);
  expect_fresh();
}

TEST_F(Cache, IsNotUsedInTrainingMode) {
  layer_->train();
  evaluate();
  write_behind_libtorchs_back();
  expect_fresh();
}

// 0.3 rounded to an integer at random, as the element's random word says.
Tensor drawn(const std::vector<std::int64_t>& sizes, std::uint64_t seed, std::uint32_t stream,
             std::uint32_t step) {
  Tensor y = torch::empty(sizes);
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const double u = std::ldexp(random_word({seed, stream, step}, i) >> 8, -24);
    y.view(-1)[i] = u < 0.3F ? 1 : 0;
  }
  return y;
}

class RandomRounding : public testing::Test {
 protected:
  RandomRounding() {
    Override maps = everything_with("stochastic,8,0");
    maps.seed = 99;
    apply(model_, maps);
    const torch::NoGradGuard no_gradient;
    for (Tensor& p : model_->parameters()) p.fill_(0.3);
  }
  // The first layer is the identity plus a bias, so that its weights and bias show in the output.
  Tensor expected(std::uint32_t step) {
    const Tensor w = drawn({40, 20}, 99, stream_of("0", "weight"), step);
    const Tensor b = drawn({40}, 99, stream_of("0", "bias"), step);
    return w.t() + b;
  }
  Tensor call() { return model_->forward(torch::eye(20)); }
  nn::Sequential model_{nn::Linear(20, 40)};
};

TEST_F(RandomRounding, StepsWithTheForwardCallsOfTraining) {
  EXPECT_TRUE(torch::equal(call(), expected(0)));
  EXPECT_TRUE(torch::equal(call(), expected(1)));
  EXPECT_FALSE(torch::equal(expected(0), expected(1)));
  EXPECT_EQ(layer_steps(model_).at("0"), 2U);
  set_layer_steps(model_, {{"0", 7}});
  EXPECT_TRUE(torch::equal(call(), expected(7)));
  EXPECT_THAT(
      [&] {
        set_layer_steps(model_, {{"0", 1}, {"nowhere", 7}});
      },
      ThrowsMessage<Error>(HasSubstr("'nowhere'")));
  EXPECT_EQ(layer_steps(model_).at("0"), 8U);
}

TEST_F(RandomRounding, StandsStillInEvaluation) {
  call();
  model_->eval();
  const torch::NoGradGuard no_gradient;
  EXPECT_TRUE(torch::equal(call(), expected(0)));
  EXPECT_TRUE(torch::equal(call(), expected(0)));
  set_inference_step(model_, 5);
  EXPECT_TRUE(torch::equal(call(), expected(5)));
  EXPECT_EQ(layer_steps(model_).at("0"), 1U);
}

TEST_F(RandomRounding, OfOutputsHasAStreamOfItsOwn) {
  nn::Sequential model{nn::Identity()};
  Override maps = outputs_with("stochastic,8,0");
  maps.seed = 3;
  apply(model, maps);
  EXPECT_TRUE(torch::equal(model->forward(torch::full({5, 30}, 0.3F)),
                           drawn({5, 30}, 3, stream_of("0", "output"), 0)));
}

TEST_F(RandomRounding, NumbersTheParametersOfARole) {
  nn::LSTM lstm(4, 3);
  LayerQuantizers quantizers;
  quantizers.layer = "lstm";
  const auto plan = lstm->plan(quantizers);
  std::map<std::string, std::uint32_t> streams;
  for (const auto& parameter : plan->parameters) streams[parameter.name] = parameter.stream;
  EXPECT_EQ(streams,
            (std::map<std::string, std::uint32_t>{{"weight_ih_l0", stream_of("lstm", "weight")},
                                                  {"weight_hh_l0", stream_of("lstm", "weight1")},
                                                  {"bias_ih_l0", stream_of("lstm", "bias")},
                                                  {"bias_hh_l0", stream_of("lstm", "bias1")}}));
}

TEST_F(RandomRounding, NumbersTheOutputs) {
  // Three outputs of which the second is an integer.
  struct ThreeImpl : torch::nn::Cloneable<ThreeImpl> {
    void reset() override {}
    std::tuple<Tensor, std::vector<Tensor>> forward(const Tensor& x) {
      return {x * 1, {x.argmax(1), x * 1}};
    }
  };
  QLayer<ThreeImpl> layer;
  LayerQuantizers quantizers;
  quantizers.layer = "three";
  quantizers.output = make_quantizer("stochastic,8,0");
  layer.attach(layer.plan(quantizers));
  const auto [first, others] = layer.forward(torch::full({5, 30}, 0.3F));
  EXPECT_TRUE(torch::equal(first, drawn({5, 30}, 0, stream_of("three", "output"), 0)));
  EXPECT_TRUE(torch::equal(others[1], drawn({5, 30}, 0, stream_of("three", "output1"), 0)));
}

TEST(Threads, ShareAModelInEvaluation) {
  for (const char* spec : {"nearest,8,4", "stochastic,8,4"}) {
    nn::Sequential model(nn::Conv2d(3, 8, 3), nn::BatchNorm2d(8), nn::ReLU(), nn::Flatten(),
                         nn::Linear(8 * 36, 5));
    apply(model, everything_with(spec));
    model->eval();
    const torch::NoGradGuard no_gradient;
    const Tensor x = torch::randn({1, 3, 8, 8});
    const Tensor expected = model->forward(x);
    invalidate(model);
    std::atomic<int> differences = 0;
    constexpr int kThreads = 4;
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        const torch::NoGradGuard no_gradient_here;
        for (int k = 0; k < 200; ++k) differences += !torch::equal(model->forward(x), expected);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(differences, 0) << spec;
  }
}

}  // namespace
}  // namespace tensorquant
