#include "tensorquant/arithmetic/layers/operation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::int64_t kAny = kUnknownSize;

ConvolutionOperation convolution(std::int64_t groups = 1) {
  ConvolutionOperation operation;
  operation.stride = {2, 1};
  operation.dilation = {1, 2};
  operation.padding_begin = {1, 0};
  operation.padding_end = {0, 3};
  operation.groups = groups;
  return operation;
}

ConvolutionOperation transposed(std::int64_t groups = 1) {
  ConvolutionOperation operation;
  operation.stride = {2};
  operation.dilation = {3};
  operation.padding_begin = operation.padding_end = {1};
  operation.groups = groups;
  operation.is_transposed = true;
  operation.output_padding = {1};
  return operation;
}

AveragePoolOperation pool() {
  AveragePoolOperation operation;
  operation.kernel = {2, 3};
  operation.stride = {2, 1};
  operation.padding_begin = {0, 1};
  operation.padding_end = {1, 0};
  return operation;
}

// Shapes by hand: (input + padding - dilation (kernel - 1) - 1) / stride + 1 and, transposed,
// (input - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.
struct Fit {
  Operation operation;
  std::vector<TensorShape> inputs;
  TensorShape result;
};

std::vector<Fit> fits() {
  return {
      {LinearOperation{}, {{5, 3}, {2, 3}}, {5, 2}},
      {LinearOperation{}, {{3}, {2, 3}, {2}}, {2}},
      {LinearOperation{}, {{4, 0, 3}, {2, 3}, {2}}, {4, 0, 2}},
      {convolution(), {{7, 3, 8, 9}, {4, 3, 3, 2}}, {7, 4, 4, 10}},
      {convolution(2), {{7, 6, 8, 9}, {4, 3, 3, 2}, {4}}, {7, 4, 4, 10}},
      {transposed(), {{2, 4, 5}, {4, 3, 2}}, {2, 3, 11}},
      {transposed(2), {{2, 4, 5}, {4, 3, 2}, {6}}, {2, 6, 11}},
      {pool(), {{2, 3, 5, 6}}, {2, 3, 3, 5}},
  };
}

TEST(Operation, KnowsItsResultsShape) {
  for (const Fit& fit : fits()) {
    EXPECT_EQ(result_shape(fit.operation, fit.inputs), fit.result);
  }
}

// What is known of a result stays what it is, whichever size of an input is not known.
TEST(Operation, KnowsWhatUnknownSizesLeaveOfItsShape) {
  for (const Fit& fit : fits()) {
    for (std::size_t i = 0; i < fit.inputs.size(); ++i) {
      for (std::size_t d = 0; d < fit.inputs[i].size(); ++d) {
        std::vector<TensorShape> inputs = fit.inputs;
        inputs[i][d] = kAny;
        const TensorShape found = result_shape(fit.operation, inputs);
        ASSERT_EQ(found.size(), fit.result.size());
        std::size_t unknown = 0;
        for (std::size_t k = 0; k < found.size(); ++k) {
          if (found[k] == kAny) {
            ++unknown;
          } else {
            EXPECT_EQ(found[k], fit.result[k]) << i << " " << d << " " << k;
          }
        }
        EXPECT_LE(unknown, 1u);
      }
    }
  }
  EXPECT_EQ(result_shape(convolution(), {{kAny, 3, kAny, 9}, {4, 3, 3, 2}}),
            (TensorShape{kAny, 4, kAny, 10}));
  EXPECT_EQ(result_shape(LinearOperation{}, {{kAny, 3}, {2, kAny}}), (TensorShape{kAny, 2}));
}

Operation operation_of(const nlohmann::json& row) {
  if (row["kind"] == "linear") return LinearOperation{};
  if (row["kind"] == "average_pool") {
    return AveragePoolOperation{.kernel = row["kernel"],
                                .stride = row["stride"],
                                .padding_begin = row["padding_begin"],
                                .padding_end = row["padding_end"],
                                .divisor = {}};
  }
  return ConvolutionOperation{.stride = row["stride"],
                              .dilation = row["dilation"],
                              .padding_begin = row["padding_begin"],
                              .padding_end = row["padding_end"],
                              .groups = row["groups"],
                              .output_padding = {}};
}

// The table that Python's operations and libtorch's pools go by, too.
TEST(Operation, DoesWhatTheTableSays) {
  std::ifstream file(std::string(TENSORQUANT_SOURCE_DIR) + "/tests/operations.json");
  const auto table = nlohmann::json::parse(file);
  ASSERT_GT(table.size(), 10u);
  for (const auto& row : table) {
    SCOPED_TRACE(row);
    const auto inputs = row["inputs"].get<std::vector<TensorShape>>();
    const Operation operation = operation_of(row);
    if (row.contains("shape")) {
      EXPECT_EQ(result_shape(operation, inputs), row["shape"].get<TensorShape>());
    } else {
      EXPECT_THAT([&] { result_shape(operation, inputs); },
                  ThrowsMessage<Error>(HasSubstr(row["error"].get<std::string>())));
    }
  }
}

TEST(Operation, SaysWhichShapesDoNotFit) {
  struct Misfit {
    Operation operation;
    std::vector<TensorShape> inputs;
    std::string message;
  };
  ConvolutionOperation uneven = transposed(), longer = convolution();
  uneven.padding_end = {0};
  longer.dilation = {1};
  AveragePoolOperation divided = pool();
  divided.divisor = 0;
  for (const auto& [operation, inputs, message] : std::vector<Misfit>{
           {LinearOperation{}, {{5, 3}}, "expected 2 to 3 tensors, found 1"},
           {LinearOperation{}, {{5, 3}, {2, 4}}, "expected an input of (... x 4), found (5 x 3)"},
           {LinearOperation{}, {{5, 3}, {3}}, "expected weights of (outputs x inputs)"},
           {LinearOperation{}, {{5, 3}, {2, 3}, {3}}, "expected a bias of (2), found (3)"},
           {LinearOperation{}, {{kAny, 3}, {2, 4}}, "found (? x 3)"},
           {convolution(), {{7, 3, 8}, {4, 3, 3, 2}}, "expected an input of 4 dimensions"},
           {convolution(), {{7, 3, 8, 9}, {4, 3, 3}}, "expected weights of 4 dimensions"},
           {convolution(), {{7, 3, 8, 9}, {4, 2, 3, 2}}, "expected an input of 2 channels"},
           {convolution(2), {{7, 6, 8, 9}, {3, 3, 3, 2}}, "3 output channels cannot be divided"},
           {convolution(), {{kAny, 3, 1, 9}, {4, 3, 3, 2}}, "kernel is larger than the padded"},
           {convolution(0), {{7, 3, 8, 9}, {4, 3, 3, 2}}, "0 groups"},
           {longer, {{7, 3, 8, 9}, {4, 3, 3, 2}}, "sizes differ in number"},
           {transposed(), {{2, 4, 5}, {3, 3, 2}}, "expected an input of 3 channels"},
           {transposed(3), {{2, 4, 5}, {4, 3, 2}}, "4 input channels cannot be divided"},
           {uneven, {{2, 4, 5}, {4, 3, 2}}, "pads both sides alike"},
           {pool(), {{2, 3, 5}}, "expected an input of 4 dimensions"},
           {pool(), {{2, 3, 0, 6}}, "kernel is larger than the padded input"},
           {divided, {{2, 3, 5, 6}}, "divisor is 0"},
           {AveragePoolOperation{}, {{2, 3}}, "needs a dimension besides batch and channels"},
       }) {
    EXPECT_THAT([&] { result_shape(operation, inputs); }, ThrowsMessage<Error>(HasSubstr(message)))
        << message;
    float y = 0;
    const std::vector<const float*> data(inputs.size());
    EXPECT_THROW(run_operation<float>(operation, {}, {}, inputs, data, &y), Error) << message;
  }
}

}  // namespace
}  // namespace tensorquant
