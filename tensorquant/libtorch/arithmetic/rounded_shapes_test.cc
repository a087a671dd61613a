// Rounded layers refuse the shapes and types that the float layers refuse, and no others.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <exception>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/arithmetic/pools.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/nn/nn.h"

namespace tensorquant {
namespace {

namespace o = torch::nn;  // options
using Sizes = std::vector<std::int64_t>;
using Call = std::function<torch::Tensor(const torch::Tensor&)>;

const char* const kRounding = R"({"intrinsic": "nearest,16,8"})";

std::string text(at::IntArrayRef sizes) {
  std::ostringstream stream;
  stream << sizes;
  return stream.str();
}

// The result's shape and type; none where the input is refused.
std::optional<std::string> answer(const Call& call, const torch::Tensor& x) {
  try {
    const torch::Tensor y = call(x);
    return text(y.sizes()) + " " + c10::toString(y.scalar_type());
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

// A float layer and its rounded twin, of one state.
struct Pair {
  std::string name;
  std::size_t dimensions;
  Call plain, rounded;
};

void expect_same_answer(const Pair& pair, const torch::Tensor& x) {
  const auto wanted = answer(pair.plain, x), found = answer(pair.rounded, x);
  EXPECT_EQ(found.value_or("refused"), wanted.value_or("refused"))
      << pair.name << " of " << text(x.sizes()) << " " << c10::toString(x.scalar_type());
}

template <class Plain, class Twin>
Pair make_pair(const std::string& name, std::size_t dimensions, Plain plain, Twin rounded,
               bool is_training) {
  apply(rounded, Override::from_json(kRounding));
  plain->train(is_training);
  rounded->train(is_training);
  return {name, dimensions, [plain](const torch::Tensor& x) mutable { return plain->forward(x); },
          [rounded](const torch::Tensor& x) mutable { return rounded->forward(x); }};
}

template <class Plain, class Twin>
Pair make_pair(const std::string& name, std::size_t dimensions) {
  return make_pair(name, dimensions, Plain(), Twin(), /*is_training=*/false);
}
template <class Plain, class Twin, class Options>
Pair make_pair(const std::string& name, std::size_t dimensions, const Options& options,
               bool is_training = false) {
  return make_pair(name, dimensions, Plain(options), Twin(options), is_training);
}

#define PAIR(layer, dimensions, ...) \
  make_pair<torch::nn::layer, nn::layer>(#layer "(" #__VA_ARGS__ ")", dimensions, __VA_ARGS__)

std::vector<Pair> pairs() {
  std::vector<Pair> all = {
      PAIR(Linear, 1, o::LinearOptions(2, 3)),
      PAIR(Conv1d, 1, o::Conv1dOptions(2, 3, 2)),
      PAIR(Conv1d, 1, o::Conv1dOptions(2, 4, 3).stride(2).padding(1).groups(2)),
      PAIR(Conv1d, 1, o::Conv1dOptions(2, 3, 2).dilation(4)),
      PAIR(Conv2d, 2, o::Conv2dOptions(2, 3, 2)),
      PAIR(Conv2d, 2, o::Conv2dOptions(2, 3, {1, 3}).padding({0, 1}).bias(false)),
      PAIR(Conv2d, 2, o::Conv2dOptions(2, 3, 2).padding(torch::kSame)),
      PAIR(Conv2d, 2, o::Conv2dOptions(2, 3, 3).padding(1).padding_mode(torch::kReflect)),
      PAIR(Conv2d, 2, o::Conv2dOptions(2, 3, 3).padding(2).padding_mode(torch::kCircular)),
      PAIR(Conv2d, 2, o::Conv2dOptions(2, 3, 3).padding(1).padding_mode(torch::kReplicate)),
      PAIR(Conv3d, 3, o::Conv3dOptions(2, 3, 2)),
      PAIR(Conv3d, 3, o::Conv3dOptions(2, 2, {1, 2, 3}).padding({0, 1, 1}).groups(2)),
      PAIR(ConvTranspose1d, 1, o::ConvTranspose1dOptions(2, 3, 2)),
      PAIR(ConvTranspose1d, 1, o::ConvTranspose1dOptions(2, 3, 3).stride(2).padding(1)),
      PAIR(ConvTranspose1d, 1, o::ConvTranspose1dOptions(2, 3, 2).dilation(3).output_padding(2)),
      PAIR(ConvTranspose2d, 2, o::ConvTranspose2dOptions(2, 2, 2).groups(2).stride({1, 2})),
      PAIR(ConvTranspose3d, 3, o::ConvTranspose3dOptions(2, 3, 2)),
      PAIR(AvgPool1d, 1, o::AvgPool1dOptions(2)),
      PAIR(AvgPool1d, 1, o::AvgPool1dOptions(3).stride(2).padding(1).ceil_mode(true)),
      PAIR(AvgPool1d, 1, o::AvgPool1dOptions(4).stride(4).ceil_mode(true)),
      PAIR(AvgPool1d, 1, o::AvgPool1dOptions(2).padding(2)),
      PAIR(AvgPool1d, 1, o::AvgPool1dOptions(2).stride(std::numeric_limits<int>::max())),
      PAIR(AvgPool2d, 2, o::AvgPool2dOptions(2)),
      PAIR(AvgPool2d, 2, o::AvgPool2dOptions({2, 4}).stride(3).padding({1, 2}).ceil_mode(true)),
      PAIR(AvgPool2d, 2, o::AvgPool2dOptions(3).padding(1).count_include_pad(false)),
      PAIR(AvgPool2d, 2, o::AvgPool2dOptions(2).divisor_override(0)),
      PAIR(AvgPool2d, 2, o::AvgPool2dOptions(2).divisor_override(3)),
      PAIR(AvgPool3d, 3, o::AvgPool3dOptions(2)),
      PAIR(AvgPool3d, 3, o::AvgPool3dOptions({1, 2, 3}).stride(2).padding({0, 1, 1})),
      PAIR(AdaptiveAvgPool1d, 1, o::AdaptiveAvgPool1dOptions(3)),
      PAIR(AdaptiveAvgPool1d, 1, o::AdaptiveAvgPool1dOptions(0)),
      PAIR(AdaptiveAvgPool1d, 1, o::AdaptiveAvgPool1dOptions(-1)),
      PAIR(AdaptiveAvgPool2d, 2, o::AdaptiveAvgPool2dOptions({3, 2})),
      PAIR(AdaptiveAvgPool2d, 2, o::AdaptiveAvgPool2dOptions({0, 1})),
      PAIR(AdaptiveAvgPool2d, 2, o::AdaptiveAvgPool2dOptions({c10::nullopt, 2})),
      PAIR(AdaptiveAvgPool3d, 3, o::AdaptiveAvgPool3dOptions({3, 2, 1})),
      PAIR(LayerNorm, 1, o::LayerNormOptions({5})),
      PAIR(LayerNorm, 2, o::LayerNormOptions({2, 5})),
      PAIR(LayerNorm, 1, o::LayerNormOptions({2}).elementwise_affine(false)),
      PAIR(GroupNorm, 1, o::GroupNormOptions(2, 2)),
      PAIR(GroupNorm, 2, o::GroupNormOptions(1, 5)),
      PAIR(GroupNorm, 2, o::GroupNormOptions(2, 2).affine(false)),
      PAIR(InstanceNorm1d, 1, o::InstanceNorm1dOptions(2)),
      PAIR(InstanceNorm1d, 1, o::InstanceNorm1dOptions(2).affine(true)),
      PAIR(InstanceNorm2d, 2, o::InstanceNorm2dOptions(2).affine(true)),
      PAIR(InstanceNorm3d, 3, o::InstanceNorm3dOptions(2).affine(true)),
      PAIR(Softmax, 1, o::SoftmaxOptions(1)),
      PAIR(Softmax, 1, o::SoftmaxOptions(-1)),
      PAIR(LogSoftmax, 1, o::LogSoftmaxOptions(0)),
      PAIR(GLU, 1, o::GLUOptions()),
      PAIR(GLU, 1, o::GLUOptions(0)),
      PAIR(GELU, 1, o::GELUOptions()),
      PAIR(LeakyReLU, 1, o::LeakyReLUOptions()),
      PAIR(Softplus, 1, o::SoftplusOptions()),
      make_pair<torch::nn::Softmax2d, nn::Softmax2d>("Softmax2d", 2),
      make_pair<torch::nn::SiLU, nn::SiLU>("SiLU", 1),
      make_pair<torch::nn::Tanh, nn::Tanh>("Tanh", 1),
      make_pair<torch::nn::Sigmoid, nn::Sigmoid>("Sigmoid", 1),
  };
  for (const bool is_training : {false, true}) {
    const auto add = [&](const o::BatchNormOptions& options) {
      const std::string name = is_training ? " in training" : "";
      all.push_back(make_pair<torch::nn::BatchNorm1d, nn::BatchNorm1d>("BatchNorm1d" + name, 1,
                                                                       options, is_training));
      all.push_back(make_pair<torch::nn::BatchNorm2d, nn::BatchNorm2d>("BatchNorm2d" + name, 2,
                                                                       options, is_training));
      all.push_back(make_pair<torch::nn::BatchNorm3d, nn::BatchNorm3d>("BatchNorm3d" + name, 3,
                                                                       options, is_training));
    };
    add(o::BatchNormOptions(2));
    add(o::BatchNormOptions(2).affine(false));
    add(o::BatchNormOptions(2).track_running_stats(false));
    add(o::BatchNormOptions(2).affine(false).track_running_stats(false));
  }
  return all;
}

// Every shape of these sizes with up to two dimensions besides the spatial ones, and one of more.
std::vector<Sizes> shapes(std::size_t dimensions) {
  const Sizes sizes = dimensions == 3   ? Sizes{0, 2}
                      : dimensions == 2 ? Sizes{0, 2, 5}
                                        : Sizes{0, 1, 2, 5};
  std::vector<Sizes> all = {{}};
  for (std::size_t first = 0, rank = 0; rank < dimensions + 2; ++rank) {
    const std::size_t end = all.size();
    for (; first < end; ++first) {
      for (const std::int64_t size : sizes) {
        Sizes longer = all[first];
        longer.push_back(size);
        all.push_back(longer);
      }
    }
  }
  all.emplace_back(dimensions + 3, 2);
  return all;
}

TEST(RoundedShapes, AreRefusedExactlyWhereTheFloatLayerRefusesThem) {
  const torch::NoGradGuard no_grad;
  for (const Pair& pair : pairs()) {
    for (const Sizes& shape : shapes(pair.dimensions)) {
      expect_same_answer(pair, torch::ones(shape));
    }
  }
}

// libtorch does not look at the output of an empty batch, and takes the mean over anything where
// one number is asked for.
TEST(RoundedShapes, WithoutAnOutputAreRefused) {
  const torch::NoGradGuard no_grad;
  for (const Pair& pair :
       {PAIR(ConvTranspose1d, 1, o::ConvTranspose1dOptions(2, 3, 1).stride(2).output_padding(2)),
        PAIR(ConvTranspose1d, 1, o::ConvTranspose1dOptions(2, 3, 3).padding(2))}) {
    for (const std::int64_t size : {1, 2, 3, 5})
      expect_same_answer(pair, torch::ones({2, 2, size}));
  }
  const Pair pool = PAIR(AdaptiveAvgPool2d, 2, o::AdaptiveAvgPool2dOptions({1, 1}));
  expect_same_answer(pool, torch::ones({2, 3, 4}));
  expect_same_answer(pool, torch::ones({2, 3, 4, 5}));
  EXPECT_ANY_THROW(pool.rounded(torch::ones({2, 3, 0, 5})));
  EXPECT_ANY_THROW(pool.rounded(torch::ones({4, 5})));
  EXPECT_ANY_THROW(pool.rounded(torch::ones({1, 2, 3, 4, 5})));
}

TEST(RoundedShapes, AreThoseOfOneTypeAlone) {
  const torch::NoGradGuard no_grad;
  for (const Pair& pair :
       {PAIR(Linear, 1, o::LinearOptions(2, 3)), PAIR(Conv1d, 1, o::Conv1dOptions(2, 3, 2)),
        PAIR(ConvTranspose1d, 1, o::ConvTranspose1dOptions(2, 3, 2)),
        PAIR(BatchNorm1d, 1, o::BatchNormOptions(2)), PAIR(LayerNorm, 1, o::LayerNormOptions({2})),
        PAIR(GroupNorm, 1, o::GroupNormOptions(1, 2)), PAIR(Softmax, 1, o::SoftmaxOptions(1))}) {
    for (const auto type : {torch::kFloat, torch::kDouble, torch::kLong, torch::kBool}) {
      expect_same_answer(pair, torch::ones({2, 2, 2}, type));
    }
  }
}

TEST(RoundedShapes, OfAnOutputSizeAreThoseOfTheFloatLayer) {
  const torch::NoGradGuard no_grad;
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const std::vector<Sizes> wanted = {{},
                                     {9},
                                     {10, 9},
                                     {9, 9},
                                     {8, 9},
                                     {9, 9, 9},
                                     {1, 2, 9, 10},
                                     {1, 2, 9},
                                     {1, 2, 3, 9, 9},
                                     {-1, 9},
                                     {0, 0},
                                     {7, 8},
                                     {kMost, kMost},
                                     {9, 9, 9, 9, 9, 9}};
  for (const auto& options : {o::ConvTranspose2dOptions(2, 3, 3).stride(2),
                              o::ConvTranspose2dOptions(2, 3, 3).stride(2).dilation({1, 2}),
                              o::ConvTranspose2dOptions(2, 3, 3).stride(2).padding(1)}) {
    torch::nn::ConvTranspose2d plain(options);
    nn::ConvTranspose2d rounded(options);
    apply(rounded, Override::from_json(kRounding));
    for (const Sizes& size : wanted) {
      const Pair pair = {"ConvTranspose2d with an output_size of " + text(size), 2,
                         [&](const torch::Tensor& x) { return plain->forward(x, size); },
                         [&](const torch::Tensor& x) { return rounded->forward(x, size); }};
      for (const Sizes& shape : std::vector<Sizes>{
               {1, 2, 4, 4}, {2, 4, 4}, {1, 3, 4, 4}, {3, 4, 4}, {1, 2, 1, 4}, {4, 4}}) {
        expect_same_answer(pair, torch::ones(shape));
      }
      // Here the float layer reads memory that is not its own.
      for (const Sizes& shape : std::vector<Sizes>{{}, {4}, {1, 1, 2, 4, 4}}) {
        EXPECT_ANY_THROW(pair.rounded(torch::ones(shape))) << pair.name << " of " << text(shape);
      }
    }
  }
}

TEST(RoundedShapes, OfAdditionsAreThoseOfTheFloatLayer) {
  const torch::NoGradGuard no_grad;
  nn::Add plain, rounded;
  apply(rounded, Override::from_json(kRounding));
  for (const Sizes& other : shapes(1)) {
    const torch::Tensor b = torch::ones(other);
    const Pair pair = {"Add to " + text(other), 1,
                       [&](const torch::Tensor& x) { return plain->forward(x, b); },
                       [&](const torch::Tensor& x) { return rounded->forward(x, b); }};
    for (const Sizes& shape : std::vector<Sizes>{{}, {2}, {1, 5}, {0}, {2, 1, 5}}) {
      expect_same_answer(pair, torch::ones(shape));
    }
  }
}

// The rows of the table that the core and Python's operations go by, too.
TEST(RoundedShapes, OfPoolsAreThoseOfTheTable) {
  std::ifstream file(std::string(TENSORQUANT_SOURCE_DIR) + "/tests/operations.json");
  std::size_t count = 0;
  for (const auto& row : nlohmann::json::parse(file)) {
    if (row["kind"] != "average_pool") continue;
    ++count;
    SCOPED_TRACE(row);
    const AveragePoolOperation pool{.kernel = row["kernel"],
                                    .stride = row["stride"],
                                    .padding_begin = row["padding_begin"],
                                    .padding_end = row["padding_end"],
                                    .divisor = {}};
    const torch::Tensor x = torch::ones(row["inputs"][0].get<Sizes>());
    if (row.contains("shape")) {
      EXPECT_EQ(rounded_average_pool({}, x, pool).sizes(), row["shape"].get<Sizes>());
    } else {
      EXPECT_THAT(
          [&] { rounded_average_pool({}, x, pool); },
          testing::ThrowsMessage<Error>(testing::HasSubstr(row["error"].get<std::string>())));
    }
  }
  EXPECT_GT(count, 5u);
}

// A parameter that the user has replaced.
TEST(RoundedShapes, OfParametersAreChecked) {
  const torch::NoGradGuard no_grad;
  const auto expect_refused = [](auto layer, const torch::Tensor& x, const auto& replace) {
    replace(*layer);
    EXPECT_ANY_THROW(layer->forward(x));
    layer->eval();
    apply(layer, Override::from_json(kRounding));
    EXPECT_ANY_THROW(layer->forward(x));
  };
  const auto bias = [](auto& layer) { layer.bias = torch::ones(7); };
  const auto weight = [](auto& layer) { layer.weight = torch::ones(7); };
  expect_refused(nn::Linear(2, 3), torch::ones({1, 2}), bias);
  expect_refused(nn::Conv1d(o::Conv1dOptions(2, 3, 1)), torch::ones({1, 2, 3}), bias);
  expect_refused(nn::Conv1d(o::Conv1dOptions(2, 3, 1)), torch::ones({1, 2, 3}), weight);
  expect_refused(nn::ConvTranspose1d(o::ConvTranspose1dOptions(2, 3, 1)), torch::ones({1, 2, 3}),
                 bias);
  expect_refused(nn::BatchNorm1d(2), torch::ones({3, 2}), bias);
  expect_refused(nn::BatchNorm1d(2), torch::ones({3, 2}), weight);
  expect_refused(nn::LayerNorm(o::LayerNormOptions({2})), torch::ones({3, 2}), bias);
  expect_refused(nn::LayerNorm(o::LayerNormOptions({2})), torch::ones({3, 2}), weight);
  expect_refused(nn::GroupNorm(1, 2), torch::ones({3, 2}), bias);
  expect_refused(nn::GroupNorm(1, 2), torch::ones({3, 2}), weight);
  const auto mean = [](auto& layer) { layer.running_mean = torch::ones(7); };
  const auto variance = [](auto& layer) { layer.running_var = torch::ones(7); };
  expect_refused(nn::BatchNorm1d(2), torch::ones({3, 2}), mean);
  expect_refused(nn::BatchNorm1d(2), torch::ones({3, 2}), variance);
}

}  // namespace
}  // namespace tensorquant
