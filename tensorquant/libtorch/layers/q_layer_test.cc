// What a single quantized layer does in a forward call and its backward pass.

#include "tensorquant/libtorch/layers/q_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <tuple>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/libtorch/tensors/test_quantizers.h"

// A user's layer with parameters that libtorch has no names for, one of them in a submodule.
struct ScaleImpl : torch::nn::Cloneable<ScaleImpl> {
  explicit ScaleImpl(std::int64_t features) : features(features) { reset(); }
  void reset() override {
    alpha = register_parameter("alpha", torch::randn({features}));
    bias_of_scale = register_parameter("bias_of_scale", torch::randn({features}));
    inner = register_module("inner", torch::nn::Linear(features, features));
  }
  torch::Tensor forward(const torch::Tensor& x) const {
    return torch::nn::functional::linear(x, inner->weight, inner->bias) * alpha + bias_of_scale;
  }
  template <class F>
  void quantizable(F&& f) {
    f(alpha);
    f(bias_of_scale);
    inner = torch::nn::Linear(std::make_shared<torch::nn::LinearImpl>(*inner));
    f(inner->weight);
    f(inner->bias);
  }
  std::int64_t features;
  torch::Tensor alpha, bias_of_scale;
  torch::nn::Linear inner{nullptr};
};
using QScaleImpl = tensorquant::QLayer<ScaleImpl>;
TORCH_MODULE(QScale);

// The same mistake that a user would make: nothing says where `alpha` is.
struct HiddenImpl : torch::nn::Cloneable<HiddenImpl> {
  HiddenImpl() { reset(); }
  void reset() override { alpha = register_parameter("alpha", torch::ones({3})); }
  torch::Tensor forward(const torch::Tensor& x) { return x * alpha; }
  torch::Tensor alpha;
};
using QHiddenImpl = tensorquant::QLayer<HiddenImpl>;
TORCH_MODULE(QHidden);

// Code that says `torch` throughout.
namespace hijacked {
namespace torch = tensorquant::as_torch;

struct NetImpl : torch::nn::Module {
  NetImpl() {
    conv =
        register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 2, 3).bias(false)));
    rest = register_module("rest",
                           torch::nn::Sequential(torch::nn::Flatten(), torch::nn::Linear(18, 3)));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return torch::log_softmax(rest->forward(torch::relu(conv(x))), 1);
  }
  torch::nn::Conv2d conv{nullptr};
  torch::nn::Sequential rest{nullptr};
};
TORCH_MODULE(Net);

}  // namespace hijacked

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
using torch::Tensor;

TEST(QLayer, HasItsDefaultArguments) {
  nn::GRU gru(7, 6);
  nn::LSTM lstm(7, 6);
  nn::ConvTranspose2d transposed(3, 2, 3);
  nn::MultiheadAttention attention(6, 2);
  apply(gru, weights_with("nearest,8,4"));
  const Tensor h = std::get<0>(gru(torch::randn({5, 2, 7})));
  EXPECT_EQ(std::get<0>(attention(h, h, h)).sizes(), h.sizes());
  EXPECT_EQ(std::get<0>(lstm(torch::randn({5, 2, 7}))).sizes(), h.sizes());
  EXPECT_EQ(transposed(torch::randn({1, 3, 4, 4})).size(2), 6);

  torch::nn::AnyModule any(lstm);
  using LstmResult = std::tuple<Tensor, std::tuple<Tensor, Tensor>>;
  EXPECT_EQ(std::get<0>(any.forward<LstmResult>(torch::randn({5, 2, 7}))).sizes(), h.sizes());
}

TEST(QLayer, WorksInASequenceBesideLibtorchLayers) {
  nn::Sequential model(nn::Conv2d(1, 2, 3), torch::nn::BatchNorm2d(2), nn::ReLU(),
                       nn::Functional(torch::tanh), nn::Flatten());
  model->push_back("fc", nn::Linear(32, 3));
  EXPECT_EQ(model->forward(torch::randn({4, 1, 6, 6})).sizes(), (std::vector<std::int64_t>{4, 3}));
  EXPECT_NE(model->children()[0]->as<torch::nn::Conv2d>(), nullptr);
  EXPECT_NE(model->children()[0]->as<nn::Conv2d>(), nullptr);
}

TEST(QLayer, ReplacesLibtorchInCodeThatIsNotTouched) {
  hijacked::Net net;
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  const Tensor x = torch::randn({2, 1, 5, 5});
  const Tensor before = net(x);
  apply(net, everything_with("nearest,8,2"));
  const Tensor after = net(x);
  EXPECT_FALSE(torch::equal(before, after));
  torch::nll_loss(after, torch::zeros({2}, torch::kLong)).backward();
  optimizer.step();
}

TEST(QLayer, QuantizesThroughItsOtherFunctionsToo) {
  nn::MaxPool2d pool(2);
  apply(pool, outputs_with("nearest,8,2"));
  const Tensor x = torch::randn({1, 2, 4, 4});
  const auto [values, indices] = pool->forward_with_indices(x);
  const auto expected = torch::max_pool2d_with_indices(x, 2);
  EXPECT_TRUE(torch::equal(values, quantized(std::get<0>(expected), "nearest,8,2")));
  EXPECT_TRUE(torch::equal(indices, std::get<1>(expected)));

  nn::GRU gru(3, 4);
  torch::nn::GRU plain(3, 4);
  for (auto& p : plain->named_parameters()) {
    p.value().set_data(quantized(gru->named_parameters()[p.key()]));
  }
  apply(gru, everything_with("nearest,8,4"));
  const auto packed = torch::nn::utils::rnn::pack_padded_sequence(
      torch::randn({5, 2, 3}), torch::tensor({5, 3}, torch::kLong));
  EXPECT_TRUE(
      torch::equal(std::get<0>(gru->forward_with_packed_input(packed)).data(),
                   quantized(std::get<0>(plain->forward_with_packed_input(packed)).data())));
}

TEST(QLayer, TakesAUsersLayer) {
  QScale twin(7);
  ScaleImpl plain(7);
  for (auto& p : plain.named_parameters()) {
    p.value().set_data(quantized(twin->named_parameters()[p.key()]));
  }
  apply(twin, everything_with("nearest,8,4"));
  const Tensor x = torch::randn({4, 7});
  const Tensor y = twin(x), expected = plain.forward(x);
  EXPECT_TRUE(torch::equal(y, quantized(expected)));
  y.backward(torch::ones_like(y));
  expected.backward(torch::ones_like(y));
  for (const auto& p : plain.named_parameters()) {
    EXPECT_TRUE(torch::equal(twin->named_parameters()[p.key()].grad(), p.value().grad()))
        << p.key();
  }
  const auto row = summary(twin).at(0);
  EXPECT_EQ(row.type, "Scale");
  EXPECT_EQ(summary(twin).size(), 1U) << "a submodule of a quantizable layer belongs to it";
  const auto copy = std::dynamic_pointer_cast<QScaleImpl>(twin->clone());
  EXPECT_TRUE(torch::equal(copy->forward(x), y));
}

TEST(QLayer, RefusesParametersThatNothingReaches) {
  QHidden hidden;
  EXPECT_THAT([&] { apply(hidden, weights_with("nearest,8,4")); },
              ThrowsMessage<Error>(AllOf(HasSubstr("'alpha'"), HasSubstr("Hidden"))));
  apply(hidden, outputs_with("nearest,8,4"));  // which does not need them
}

TEST(QLayer, RefusesEmbeddingsThatChangeTheirWeight) {
  nn::Embedding embedding(nn::EmbeddingOptions(4, 3).max_norm(1));
  EXPECT_THAT([&] { apply(embedding, weights_with("nearest,8,4")); },
              ThrowsMessage<Error>(HasSubstr("max_norm")));
}

TEST(QLayer, MakesEmbeddingsFromNumbers) {
  const Tensor table = torch::randn({4, 3});
  auto embedding = nn::Embedding::from_pretrained(table);
  EXPECT_FALSE(embedding->weight.requires_grad());
  apply(embedding, weights_with("nearest,8,4"));
  EXPECT_TRUE(torch::equal(embedding(torch::arange(4)), quantized(table)));
  EXPECT_TRUE(torch::equal(nn::EmbeddingBag::from_pretrained(table)->weight, table));
}

TEST(QLayer, UsesTheQuantizersOwnGradient) {
  const auto quantizer = std::make_shared<const TestQuantizer>();
  nn::Linear layer(3, 2);
  LayerQuantizers quantizers;
  quantizers.weight = quantizers.output = quantizer;
  layer->attach(layer->plan(quantizers));
  const Tensor x = torch::randn({4, 3}), w = layer->weight.detach(), b = layer->bias.detach();
  const Tensor y = layer(x), dy = torch::randn({4, 2});
  y.backward(dy);

  const Tensor qw = torch::floor(w);
  const Tensor z = torch::nn::functional::linear(x, qw, b);
  EXPECT_TRUE(torch::equal(y, torch::floor(z)));
  const Tensor dz = (z + 10 * torch::floor(z) + 100) * dy;
  EXPECT_TRUE(torch::equal(layer->weight.grad(), (w + 10 * qw + 100) * dz.t().mm(x)));
  EXPECT_TRUE(torch::equal(layer->bias.grad(), dz.sum(0)));
}

TEST(QLayer, LeavesTheCallersTensorsAlone) {
  // Each of these hands its input on where it may; in place is for memory that nobody sees.
  nn::Sequential model{nn::Dropout(), nn::Identity(), nn::ReLU(), nn::Flatten(), nn::Dropout()};
  model->eval();
  apply(model, outputs_with("nearest,8,2"));
  std::vector<float> lent(12, 0.3F);
  const torch::NoGradGuard no_gradient;
  EXPECT_EQ(model->forward(torch::from_blob(lent.data(), {3, 4}))[0][0].item<float>(), 0.25F);
  EXPECT_EQ(lent, std::vector<float>(12, 0.3F));
  const Tensor x = torch::full({3, 4}, 0.3F);
  EXPECT_EQ(model->forward(x)[0][0].item<float>(), 0.25F);
  EXPECT_EQ(x[0][0].item<float>(), 0.3F);
}

TEST(QLayer, DrawsByPositionWhateverTheMemoryFormat) {
  nn::MaxPool2d pool(2);
  apply(pool, outputs_with("stochastic,8,4"));
  pool->eval();
  const Tensor x = torch::randn({2, 3, 6, 6});
  const Tensor y = pool(x), last = pool(x.contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(last.is_contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(torch::equal(y, last));
}

// The mode is a thread's; large tensors are quantized in several.
TEST(QLayer, TakesInferenceModeInAllThreads) {
  nn::ReLU relu;
  apply(relu, everything_with("nearest,8,4"));
  relu->eval();
  at::set_num_threads(2);
  const Tensor x = torch::randn({500000});
  const Tensor expected = relu(x);
  const torch::InferenceMode inference;
  EXPECT_TRUE(torch::equal(relu(x), expected));
}

TEST(QLayer, TakesEmptyBatchesAndInferenceMode) {
  nn::Linear linear(7, 5);
  nn::Conv2d conv(3, 2, 3);
  apply(linear, everything_with("nearest,8,4"));
  apply(conv, everything_with("nearest,8,4"));
  linear->eval();
  EXPECT_EQ(linear(torch::ones({0, 7})).sizes(), (std::vector<std::int64_t>{0, 5}));
  EXPECT_EQ(conv(torch::ones({0, 3, 8, 8})).size(0), 0);
  const Tensor x = torch::randn({4, 7});
  const Tensor expected = linear(x);
  {
    const torch::InferenceMode inference;
    EXPECT_TRUE(torch::equal(linear(x), expected));
    nn::Linear born_here(7, 5);
    apply(born_here, everything_with("nearest,8,4"));
    born_here->eval();
    born_here(x);
  }
  const torch::NoGradGuard no_gradient;
  EXPECT_TRUE(torch::equal(linear(x), expected));
}

TEST(QLayer, LeavesIntegersAloneAndNamesTheLayerOfWhatItCannotQuantize) {
  nn::Functional arg([](const Tensor& x) { return x.argmax(1); });
  apply(arg, outputs_with("nearest,8,4"));
  EXPECT_EQ(arg(torch::eye(3)).scalar_type(), torch::kLong);

  nn::Sequential half(nn::Functional([](const Tensor& x) { return x.to(torch::kHalf); }));
  apply(half, outputs_with("nearest,8,4"));
  EXPECT_THAT([&] { half->forward(torch::eye(3)); },
              ThrowsMessage<Error>(AllOf(HasSubstr("layer '0'"), HasSubstr("Half"))));
}

}  // namespace
}  // namespace tensorquant
