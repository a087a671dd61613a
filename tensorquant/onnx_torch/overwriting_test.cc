// Nodes that write over what nobody reads again, and over nothing else.

#include <gmock/gmock.h>

#include "tensorquant/onnx_torch/test_models.h"

namespace tensorquant {
namespace {

struct Overwriting {
  const char* type;
  Texts more_inputs;  // behind h
  at::Tensor (*expected)(const at::Tensor& h);
};

// c is 0.5 everywhere, and so is `low`; `high` is 2.
const std::vector<Overwriting>& all_overwriting() {
  static const std::vector<Overwriting> all = {
      {"Relu", {}, [](const at::Tensor& h) { return at::relu(h); }},
      {"Sigmoid", {}, [](const at::Tensor& h) { return at::sigmoid(h); }},
      {"Tanh", {}, [](const at::Tensor& h) { return at::tanh(h); }},
      {"HardSwish", {}, [](const at::Tensor& h) { return at::hardswish(h); }},
      {"Clip", {"low", "high"}, [](const at::Tensor& h) { return at::clamp(h, 0.5, 2); }},
      {"Add", {"c"}, [](const at::Tensor& h) { return h + 0.5; }},
      {"Sub", {"c"}, [](const at::Tensor& h) { return h - 0.5; }},
      {"Mul", {"c"}, [](const at::Tensor& h) { return h * 0.5; }},
      {"Div", {"c"}, [](const at::Tensor& h) { return h / 0.5; }},
  };
  return all;
}

const Integers kSizes = {2, 3};

// In memory of its own: tensor() returns a view.
at::Tensor input() { return tensor({-3, -0.25f, 0, 0.75f, 1.5f, 4}, kSizes).clone(); }

std::vector<onnx::Tensor> constants() {
  return {floats("c", kSizes, std::vector<float>(6, 0.5f)), floats("low", {}, {0.5f}),
          floats("high", {}, {2})};
}

onnx::NodeProto operation(const Overwriting& one, const std::string& from, const std::string& to) {
  Texts inputs = {from};
  inputs.insert(inputs.end(), one.more_inputs.begin(), one.more_inputs.end());
  return node(one.type, inputs, {to});
}

// An initializer list would hold it, too.
at::Tensor give(const OnnxModel& model, at::Tensor x) {
  std::vector<at::Tensor> inputs;
  inputs.push_back(std::move(x));
  return model.forward(std::move(inputs)).front();
}

TEST(OverwritingTest, AnInputThatTheCallerHoldsStaysAsItIs) {
  const at::NoGradGuard no_gradients;
  for (const Overwriting& one : all_overwriting()) {
    const auto model = make_onnx_model(model_of({operation(one, "x", "y")}, constants()), "file");
    const at::Tensor x = input();
    for (int call = 0; call < 2; ++call) {  // constants, too
      EXPECT_TRUE(at::equal(model->forward({x}).front(), one.expected(input()))) << one.type;
      EXPECT_TRUE(at::equal(x, input())) << one.type;
    }
  }
}

TEST(OverwritingTest, AnInputOfWhichTheCallerHoldsAViewStaysAsItIs) {
  const at::NoGradGuard no_gradients;
  for (const Overwriting& one : all_overwriting()) {
    const auto model = make_onnx_model(model_of({operation(one, "x", "y")}, constants()), "file");
    at::Tensor x = input();
    const at::Tensor view = x.view({6});
    EXPECT_TRUE(at::equal(give(*model, std::move(x)), one.expected(input())));
    EXPECT_TRUE(at::equal(view, input().view({6}))) << one.type;
  }
}

TEST(OverwritingTest, ATensorWithASecondReaderStaysAsItIs) {
  const at::NoGradGuard no_gradients;
  for (const Overwriting& one : all_overwriting()) {
    // n is read by others, too, one of which may be another shape of its memory.
    for (const bool is_view : {false, true}) {
      std::vector<onnx::NodeProto> nodes = {
          node("Neg", {"x"}, {"n"}), node(is_view ? "Flatten" : "Abs", {"n"}, {"other"}),
          operation(one, "n", "f"), node("Concat", {"n", "f", "other"}, {"y"})};
      nodes.back().attributes = {attribute("axis", 0)};
      const at::Tensor h = -input(), other = is_view ? h : h.abs();
      EXPECT_TRUE(at::equal(run(model_of(nodes, constants()), input()),
                            at::cat({h, one.expected(h), other})))
          << one.type << (is_view ? ", a view" : "");
    }
  }
}

TEST(OverwritingTest, NothingIsWrittenOverWhereGradientsAreOn) {
  for (const Overwriting& one : all_overwriting()) {
    const at::Tensor x = input().requires_grad_();
    const std::vector<onnx::NodeProto> nodes = {node("Tanh", {"x"}, {"t"}),
                                                operation(one, "t", "y")};
    run(model_of(nodes, constants()), x).sum().backward();
    const at::Tensor wanted = input().requires_grad_();
    one.expected(at::tanh(wanted)).sum().backward();
    EXPECT_TRUE(at::equal(x.grad(), wanted.grad())) << one.type;
  }
}

TEST(OverwritingTest, WhatNobodyReadsAgainIsWrittenOver) {
  const at::NoGradGuard no_gradients;
  for (const Overwriting& one : all_overwriting()) {
    const auto model = make_onnx_model(model_of({operation(one, "x", "y")}, constants()), "file");
    at::Tensor x = input();
    const void* const memory = x.data_ptr();
    const at::Tensor y = give(*model, std::move(x));
    EXPECT_EQ(y.data_ptr(), memory) << one.type;
    EXPECT_TRUE(at::equal(y, one.expected(input()))) << one.type;
  }
}

}  // namespace
}  // namespace tensorquant
