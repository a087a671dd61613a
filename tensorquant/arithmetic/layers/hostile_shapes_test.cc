// Shapes that make no sense or that no machine can hold are refused; one that fits is computed,
// however large its numbers are.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/average_pool.h"
#include "tensorquant/arithmetic/layers/convolution.h"
#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/arithmetic/layers/operation.h"
#include "tensorquant/arithmetic/layers/scaled_operand.h"
#include "tensorquant/arithmetic/layers/window.h"
#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using Values = std::vector<double>;

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kHalf = std::int64_t{1} << 62;

const Arithmetic& exact() {
  static const Arithmetic arithmetic =
      make_arithmetic(*make_quantizer("none"), *make_quantizer("none"), {});
  return arithmetic;
}

// Of one dimension; `wanted` is the result for an input of 1, 2, 4, 8 ... and a kernel of ones.
// None: an Error.
struct Case {
  Window window;
  std::int64_t input;
  std::optional<Values> wanted;
};

std::string text(const Case& c) {
  return "kernel " + std::to_string(c.window.kernel) + ", stride " +
         std::to_string(c.window.stride) + ", dilation " + std::to_string(c.window.dilation) +
         ", padding " + std::to_string(c.window.padding_begin) + " and " +
         std::to_string(c.window.padding_end) + ", input " + std::to_string(c.input);
}

Values powers_of_two(std::int64_t count) {
  Values values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<double>(1 << i));
  return values;
}

Values convolved(const Case& c, std::optional<std::int64_t> output_padding = {}) {
  Convolution shape;
  shape.input = {c.input};
  shape.kernel = {c.window.kernel};
  shape.stride = {c.window.stride};
  shape.dilation = {c.window.dilation};
  shape.padding_begin = {c.window.padding_begin};
  shape.padding_end = {c.window.padding_end};
  shape.is_transposed = output_padding.has_value();
  shape.output_padding = {output_padding.value_or(0)};
  Values y(static_cast<std::size_t>(shape.output()[0]));
  const Values x = powers_of_two(c.input), w(static_cast<std::size_t>(c.window.kernel), 1.0);
  convolve<double>(exact(), {}, shape, x.data(), w.data(), nullptr, y.data());
  return y;
}

// By way of an operation, whose shape comes first.
Values computed(const Operation& operation, const std::vector<TensorShape>& shapes,
                const std::vector<const double*>& data) {
  const TensorShape shape = result_shape(operation, shapes);
  Values y(static_cast<std::size_t>(std::max<std::int64_t>(shape.back(), 0)));
  run_operation<double>(operation, exact(), {}, shapes, data, y.data());
  return y;
}

Values convolved_by_operation(const Case& c) {
  ConvolutionOperation operation;
  operation.stride = {c.window.stride};
  operation.dilation = {c.window.dilation};
  operation.padding_begin = {c.window.padding_begin};
  operation.padding_end = {c.window.padding_end};
  const std::vector<TensorShape> shapes = {{1, 1, c.input}, {1, 1, c.window.kernel}};
  result_shape(operation, shapes);  // before there is memory for the kernel
  const auto kernel = static_cast<std::size_t>(std::max<std::int64_t>(c.window.kernel, 0));
  const Values x = powers_of_two(c.input), w(kernel, 1.0);
  return computed(operation, shapes, {x.data(), w.data()});
}

Values pooled_by_operation(const Case& c) {
  AveragePoolOperation operation;
  operation.kernel = {c.window.kernel};
  operation.stride = {c.window.stride};
  operation.padding_begin = {c.window.padding_begin};
  operation.padding_end = {c.window.padding_end};
  const Values x = powers_of_two(c.input);
  return computed(operation, {{1, 1, c.input}}, {x.data()});
}

AveragePoolShape pool_shape(const Case& c) {
  AveragePoolShape shape;
  shape.input = {c.input};
  shape.kernel = {c.window.kernel};
  shape.stride = {c.window.stride};
  shape.padding_begin = {c.window.padding_begin};
  shape.padding_end = {c.window.padding_end};
  return shape;
}

Values pooled(const AveragePoolShape& shape) {
  Values y(static_cast<std::size_t>(shape.output()[0]));
  const Values x = powers_of_two(shape.input[0]);
  average_pool<double>(exact(), {}, average_pool_of(shape), x.data(), y.data());
  return y;
}

std::vector<Case> hostile_cases() {
  return {
      {{.kernel = 2, .stride = kMost}, 4, Values{3}},
      {{.kernel = 2, .stride = kMost}, 2, Values{3}},
      {{.kernel = 1, .stride = 3, .dilation = kMost}, 4, Values{1, 8}},
      {{.kernel = 2, .dilation = kMost}, 4, {}},
      {{.kernel = 3, .dilation = kHalf}, 4, {}},      // the reach is 2^63
      {{.kernel = 4, .dilation = kHalf + 1}, 4, {}},  // and 2^64 more than it seems
      {{.kernel = 2, .padding_begin = kMost}, 4, {}},
      {{.kernel = 2, .padding_end = kMost}, 4, {}},
      {{.kernel = 2, .stride = kMost, .padding_begin = kMost, .padding_end = kMost}, 4, {}},
      {{.kernel = 2, .padding_begin = kHalf, .padding_end = kHalf}, 4, {}},
      {{.kernel = 2, .stride = kMost, .padding_begin = kHalf, .padding_end = kHalf - 4}, 4, {}},
      {{.kernel = 0}, 4, {}},
      {{.kernel = -1}, 4, {}},
      {{.kernel = kMost}, 4, {}},
      {{.kernel = 2, .stride = 0}, 4, {}},
      {{.kernel = 2, .stride = std::numeric_limits<std::int64_t>::min()}, 4, {}},
      {{.kernel = 2, .dilation = 0}, 4, {}},
      {{.kernel = 2, .padding_begin = -1}, 4, {}},
      {{.kernel = 2, .padding_end = std::numeric_limits<std::int64_t>::min()}, 4, {}},
      {{.kernel = 5}, 4, {}},
      {{.kernel = 3, .dilation = 2}, 4, {}},
      {{.kernel = 1}, 0, {}},
      {{.kernel = 2, .padding_begin = 1, .padding_end = 1}, 0, Values{0}},
  };
}

TEST(HostileShapes, AreRefusedByConvolutionsOrComputed) {
  for (const Case& c : hostile_cases()) {
    if (c.wanted) {
      EXPECT_EQ(convolved(c), *c.wanted) << text(c);
      EXPECT_EQ(convolved_by_operation(c), *c.wanted) << text(c);
    } else {
      EXPECT_THROW(convolved(c), Error) << text(c);
      EXPECT_THROW(convolved_by_operation(c), Error) << text(c);
    }
  }
}

TEST(HostileShapes, AreRefusedByPoolsOrComputed) {
  for (const Case& c : hostile_cases()) {
    if (c.window.dilation != 1) continue;
    if (c.wanted) {
      Values wanted = *c.wanted;
      for (double& sum : wanted) sum /= static_cast<double>(c.window.kernel);
      EXPECT_EQ(pooled(pool_shape(c)), wanted) << text(c);
      EXPECT_EQ(pooled_by_operation(c), wanted) << text(c);
    } else {
      EXPECT_THROW(pooled(pool_shape(c)), Error) << text(c);
      EXPECT_THROW(pooled_by_operation(c), Error) << text(c);
    }
  }
}

TEST(HostileShapes, AreRefusedByTransposedConvolutionsOrComputed) {
  struct Transposed {
    Case shape;
    std::int64_t output_padding;
  };
  for (const auto& [c, output_padding] : std::vector<Transposed>{
           {{{.kernel = 2, .stride = kMost}, 1, Values{1, 1}}, 0},
           {{{.kernel = 2, .dilation = kMost}, 1, {}}, 0},
           {{{.kernel = 2, .dilation = kHalf, .padding_begin = kHalf / 2}, 1, {}}, 0},
           {{{.kernel = 1, .stride = kHalf, .padding_begin = kHalf / 2}, 2, Values{0}}, 0},
           {{{.kernel = 1, .stride = kMost}, 2, {}}, 0},
           {{{.kernel = 1, .stride = kMost}, 1, {}}, kMost - 1},
           {{{.kernel = 1, .stride = 2}, 2, Values{1, 0, 2, 0}}, 1},
           {{{.kernel = 1, .stride = 2}, 2, {}}, 2},
           {{{.kernel = 1, .stride = 1, .dilation = 3}, 2, Values{1, 2, 0, 0}}, 2},
           {{{.kernel = 1, .stride = 2}, 2, {}}, -1},
           {{{.kernel = 3, .padding_begin = 1}, 2, Values{3, 3}}, 0},
           {{{.kernel = 3, .padding_begin = 2}, 2, Values{}}, 0},
           {{{.kernel = 1, .padding_begin = 1}, 2, Values{}}, 0},
           {{{.kernel = 1, .padding_begin = 2}, 2, {}}, 0},
           {{{.kernel = 3, .padding_begin = kMost}, 2, {}}, 0},
       }) {
    if (c.wanted) {
      EXPECT_EQ(convolved(c, output_padding), *c.wanted) << text(c);
    } else {
      EXPECT_THROW(convolved(c, output_padding), Error) << text(c) << " " << output_padding;
    }
  }
}

TEST(HostileShapes, OfWholeTensorsAreRefused) {
  Convolution shape;
  shape.input = shape.kernel = {1, 1};
  shape.stride = shape.dilation = {1, 1};
  shape.padding_begin = shape.padding_end = {kHalf / 2, kHalf / 2};
  EXPECT_THROW(shape.output(), Error);
  shape.padding_begin = shape.padding_end = {0, 0};
  EXPECT_EQ(shape.output(), (std::vector<std::int64_t>{1, 1}));
  for (const std::int64_t size : {kMost, kHalf, std::int64_t{-1}}) {
    Convolution bad = shape;
    bad.batch = size;
    EXPECT_THROW(bad.output(), Error) << size;
    bad = shape;
    bad.in_channels = size;
    EXPECT_THROW(bad.output(), Error) << size;
    bad = shape;
    bad.out_channels = size;
    EXPECT_THROW(bad.output(), Error) << size;
    bad = shape;
    bad.input[0] = size;
    EXPECT_THROW(bad.output(), Error) << size;
    EXPECT_THROW(
        matrix_product<double>(exact(), {}, size, 2, 0, nullptr, nullptr, nullptr, nullptr), Error);
    EXPECT_THROW(linear<double>(exact(), {}, 0, 2, size, nullptr, nullptr, nullptr, nullptr),
                 Error);
    EXPECT_THROW(adaptive_average_pool_of(1, {1}, {size}), Error);
    EXPECT_THROW(adaptive_average_pool_of(size, {1}, {2}), Error);
  }
  EXPECT_THROW(adaptive_average_pool_of(1, {0}, {2}), Error);
  EXPECT_THROW(adaptive_average_pool_of(1, {1, 1}, {2}), Error);
}

TEST(HostileShapes, OfMatricesTakeNoMemoryWhereNothingIsComputed) {
  constexpr std::int64_t kMany = std::int64_t{1} << 50;
  const auto nothing = [](std::int64_t rows, std::int64_t columns,
                          const MatrixScales<double>& scales = {}) {
    const SumPlan plan = matrix_product<double>(exact(), {}, rows, 2, columns, nullptr, nullptr,
                                                nullptr, nullptr, nullptr, scales);
    EXPECT_EQ(linear<double>(exact(), {}, rows, 2, columns, nullptr, nullptr, nullptr, nullptr,
                             nullptr, nullptr, scales)
                  .reason,
              plan.reason);
    return plan.reason;
  };
  EXPECT_EQ(nothing(kMany, 0), "there is no output");
  EXPECT_EQ(nothing(0, kMany), "there is no output");
  const double one = 1;
  EXPECT_EQ(nothing(kMany, 0, {.data = {{&one, 1}, 2, 0, 1}}), "there is no output");
  EXPECT_THROW(nothing(kMany, 0, {.data = {{&one, 1}, 2, 1, 1}}), Error);  // too few scales

  for (const MatrixProducts& shape : {MatrixProducts{{kMany, 0}, {kMany, 0}, {1}, 1, 1, 1},
                                      MatrixProducts{{kMany, 3}, {kMany, 3}, {1}, 0, 1, 1},
                                      MatrixProducts{{3}, {3}, {1}, kMany, 1, 0}}) {
    EXPECT_EQ(matrix_products<double>(exact(), {}, shape, nullptr, nullptr, nullptr, nullptr,
                                      nullptr, nullptr, {})
                  .reason,
              "there is no output");
  }
}

TEST(HostileShapes, DivisorsAreThoseOfNumbersThatThereAre) {
  AveragePoolShape shape = pool_shape({{.kernel = 1, .padding_begin = 1, .padding_end = 1}, 2, {}});
  EXPECT_EQ(pooled(shape), (Values{0, 1, 2, 0}));
  shape.count_include_pad = false;
  EXPECT_THROW(average_pool_of(shape), Error);  // windows of padding alone
  shape.divisor = 2;
  EXPECT_EQ(pooled(shape), (Values{0, 0.5, 1, 0}));
  shape.divisor = 0;
  EXPECT_THROW(average_pool_of(shape), Error);
}

// By trying every place.
std::int64_t count_positions(const Window& window, std::int64_t input, bool ceil_mode) {
  std::int64_t count = 0;
  const std::int64_t end = input + window.padding_begin + window.padding_end;
  for (std::int64_t first = 0;; first += window.stride) {
    const bool is_inside = first + window.dilation * (window.kernel - 1) < end;
    // libtorch: the first window that is not inside, if it is needed for the last inputs.
    if (!is_inside) {
      const std::int64_t reached =
          count == 0 ? 0 : first - window.stride + window.dilation * (window.kernel - 1) + 1;
      const bool is_needed = reached < end && first < input + window.padding_begin;
      return count + (ceil_mode && is_needed ? 1 : 0);
    }
    if (ceil_mode && first >= input + window.padding_begin) return count;
    ++count;
  }
}

TEST(Positions, AreThoseThatCanBeCounted) {
  for (std::int64_t code = 0; code < 4 * 3 * 3 * 3 * 3 * 8; ++code) {
    std::int64_t rest = code;
    const auto next = [&](std::int64_t least, std::int64_t count) {
      const std::int64_t value = least + rest % count;
      rest /= count;
      return value;
    };
    const Window window = {.kernel = next(1, 4),
                           .stride = next(1, 3),
                           .dilation = next(1, 3),
                           .padding_begin = next(0, 3),
                           .padding_end = next(0, 3)};
    const std::int64_t input = next(0, 8);
    const std::int64_t wanted = count_positions(window, input, false);
    if (wanted == 0) {
      EXPECT_THROW(positions(window, input), Error) << text({window, input, {}});
    } else {
      EXPECT_EQ(positions(window, input), wanted) << text({window, input, {}});
    }
    // What libtorch's pools take.
    const bool is_pool = window.dilation == 1 && window.padding_begin == window.padding_end &&
                         2 * window.padding_begin <= window.kernel &&
                         window.kernel <= input + window.padding_begin;
    if (is_pool) {
      EXPECT_EQ(positions(window, input, true), count_positions(window, input, true))
          << text({window, input, {}});
    }
  }
}

}  // namespace
}  // namespace tensorquant
