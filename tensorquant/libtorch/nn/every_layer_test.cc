// The laws that hold for each layer of tensorquant::nn. All comparisons are of bits.

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/layers/quantizable_layer.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/nn/layer_cases.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"

namespace tensorquant {
namespace {

using torch::Tensor;

// "nearest,8,4", written a second time.
Tensor nearest_8_4(const Tensor& x) {
  return (torch::sign(x) * torch::floor(torch::abs(x) * 16 + 0.5)).clamp(-128, 127) / 16;
}

Override nearest_8_4_everywhere() {
  Override maps;
  maps.weights = QuantizerMap({{"", "nearest,8,4"}}, MapKind::weights);
  maps.extrinsic = QuantizerMap({{"", "nearest,8,4"}}, MapKind::extrinsic);
  return maps;
}

struct Outcome {
  std::vector<Tensor> outputs, input_gradients;
  torch::OrderedDict<std::string, Tensor> parameters, buffers;
};

// Calls the layer and sends 2 y back for each output y, where y are `output_values` of what the
// layer returned.
template <class F>
Outcome run(const LayerCase& layer, torch::nn::Module& module, torch::Dtype type,
            F&& output_values) {
  Inputs input(type);
  torch::manual_seed(5);  // of dropout
  const std::vector<Tensor> results = layer.call(module, input);
  Outcome outcome;
  std::vector<Tensor> roots, gradients;
  for (const Tensor& y : results) {
    outcome.outputs.push_back(output_values(y.detach()));
    if (!torch::GradMode::is_enabled() || !y.requires_grad()) continue;
    roots.push_back(y);
    gradients.push_back(2 * outcome.outputs.back());
  }
  if (!roots.empty()) torch::autograd::backward(roots, gradients);
  for (const Tensor& leaf : input.leaves()) outcome.input_gradients.push_back(leaf.grad());
  outcome.parameters = module.named_parameters();
  outcome.buffers = module.named_buffers();
  return outcome;
}

Tensor as_it_is(const Tensor& x) { return x; }

void expect_same(const Tensor& a, const Tensor& b, const std::string& what) {
  ASSERT_EQ(a.defined(), b.defined()) << what;
  if (!a.defined()) return;
  EXPECT_EQ(a.sizes(), b.sizes()) << what;
  EXPECT_TRUE(torch::equal(a, b)) << what << "\n" << a << "\n" << b;
}

void expect_same(const Outcome& a, const Outcome& b) {
  ASSERT_EQ(a.outputs.size(), b.outputs.size());
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    expect_same(a.outputs[i], b.outputs[i], "output " + std::to_string(i));
  }
  for (std::size_t i = 0; i < a.input_gradients.size(); ++i) {
    expect_same(a.input_gradients[i], b.input_gradients[i], "gradient of input");
  }
  ASSERT_EQ(a.parameters.keys(), b.parameters.keys());
  for (const auto& parameter : a.parameters) {
    expect_same(parameter.value().grad(), b.parameters[parameter.key()].grad(),
                "gradient of " + parameter.key());
  }
  ASSERT_EQ(a.buffers.keys(), b.buffers.keys());
  for (const auto& buffer : a.buffers) {
    expect_same(buffer.value(), b.buffers[buffer.key()], buffer.key());
  }
}

std::string archive(const torch::nn::Module& module) {
  torch::serialize::OutputArchive archive;
  module.save(archive);
  std::ostringstream bytes;
  archive.save_to(bytes);
  return bytes.str();
}

class EveryLayer : public testing::TestWithParam<LayerCase> {
 protected:
  // One layer of torch::nn and its twin with the same parameters.
  EveryLayer() {
    torch::manual_seed(3);
    plain_ = GetParam().plain();
    torch::manual_seed(3);
    twin_ = GetParam().twin();
  }
  Outcome run_plain(torch::Dtype type = torch::kFloat) {
    return run(GetParam(), *plain_, type, as_it_is);
  }
  Outcome run_twin(torch::Dtype type = torch::kFloat) {
    return run(GetParam(), *twin_, type, as_it_is);
  }

  std::shared_ptr<torch::nn::Module> plain_, twin_;
};

TEST_P(EveryLayer, IsTheLibtorchLayerWithoutQuantizers) {
  expect_same(run_plain(), run_twin());
  plain_->eval();
  twin_->eval();
  expect_same(run_plain(), run_twin());
}

TEST_P(EveryLayer, HasTheLibtorchLayersState) {
  const auto expected = plain_->named_parameters(), actual = twin_->named_parameters();
  ASSERT_EQ(actual.keys(), expected.keys());
  for (const auto& parameter : expected) {
    expect_same(actual[parameter.key()], parameter.value(), parameter.key());
  }
  if (plain_->is_serializable()) {
    EXPECT_EQ(archive(*twin_), archive(*plain_));
  }
  if (GetParam().name.find("Norm") != std::string::npos) {  // q_layer.cc says why
    std::ostringstream printed, printed_plain;
    twin_->pretty_print(printed);
    plain_->pretty_print(printed_plain);
    EXPECT_EQ(printed.str(), printed_plain.str());
  }
}

TEST_P(EveryLayer, EqualsTheFloatLayerAtQuantizedValues) {
  for (const torch::Dtype type : {torch::kFloat, torch::kDouble}) {
    plain_ = GetParam().plain();
    twin_ = GetParam().twin();
    plain_->to(type);
    twin_->to(type);
    const auto parameters = twin_->named_parameters();
    for (auto& parameter : plain_->named_parameters()) {
      parameter.value().set_data(nearest_8_4(parameters[parameter.key()].detach()));
    }
    apply(twin_, nearest_8_4_everywhere());
    expect_same(run_twin(type), run(GetParam(), *plain_, type, nearest_8_4));

    const torch::NoGradGuard no_gradient;
    plain_->eval();
    twin_->eval();
    const Outcome expected = run(GetParam(), *plain_, type, nearest_8_4);
    expect_same(run_twin(type), expected);
    expect_same(run_twin(type), expected);  // from the cache
  }
}

// Inside: in float64 each step is rounded to the tensor's type alone.
TEST_P(EveryLayer, IsRefusedOrNearTheFloatLayerWhereItsArithmeticIsRoundedToItsType) {
  const Override maps = Override::from_json(R"({"intrinsic": {"": {"accumulate": "once"}}})");
  const auto& twin = dynamic_cast<const QuantizableLayer&>(*twin_);
  if (twin.only_moves_values()) return;
  if (!twin.can_round_arithmetic()) {
    EXPECT_THROW(apply(twin_, maps), Error);
    return;
  }
  plain_->to(torch::kDouble);
  twin_->to(torch::kDouble);
  apply(twin_, maps);
  const auto expect_near = [](const Tensor& found, const Tensor& wanted) {
    ASSERT_EQ(found.defined(), wanted.defined());
    if (wanted.defined()) {
      EXPECT_TRUE(torch::allclose(found, wanted, 1e-8, 1e-9)) << found << "\n" << wanted;
    }
  };
  for (const bool is_training : {true, false}) {
    plain_->train(is_training);
    twin_->train(is_training);
    const Outcome found = run_twin(torch::kDouble), wanted = run_plain(torch::kDouble);
    ASSERT_EQ(found.outputs.size(), wanted.outputs.size());
    for (std::size_t i = 0; i < wanted.outputs.size(); ++i) {
      expect_near(found.outputs[i], wanted.outputs[i]);
    }
    for (std::size_t i = 0; i < wanted.input_gradients.size(); ++i) {
      expect_near(found.input_gradients[i], wanted.input_gradients[i]);
    }
    for (const auto& parameter : wanted.parameters) {
      expect_near(found.parameters[parameter.key()].grad(), parameter.value().grad());
    }
  }
}

TEST_P(EveryLayer, KeepsItsFloatParametersUnderQuantizers) {
  const std::string before = plain_->is_serializable() ? archive(*plain_) : "";
  apply(twin_, nearest_8_4_everywhere());
  twin_->eval();
  run_twin();
  if (plain_->is_serializable()) {
    EXPECT_EQ(archive(*twin_), before);
  }
  strip(twin_);
  plain_->eval();
  twin_->zero_grad();
  expect_same(run_twin(), run_plain());
}

TEST_P(EveryLayer, IsClonedWithItsQuantizers) {
  apply(twin_, nearest_8_4_everywhere());
  const auto copy = twin_->clone();
  const torch::nn::Module &original = *twin_, &cloned = *copy;
  EXPECT_EQ(typeid(cloned), typeid(original));
  const Outcome of_copy = run(GetParam(), *copy, torch::kFloat, as_it_is);
  expect_same(of_copy, run_twin());
  if (!of_copy.parameters.is_empty()) {
    EXPECT_FALSE(of_copy.parameters[0].value().is_same(twin_->parameters()[0]));
  }
}

INSTANTIATE_TEST_SUITE_P(Nn, EveryLayer, testing::ValuesIn(all_layers()), [](const auto& info) {
  return info.param.name + "_" + std::to_string(info.index);
});

}  // namespace
}  // namespace tensorquant
