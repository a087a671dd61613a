#include "tensorquant/arithmetic/layers/scaled_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tensorquant/quantizers/format_list.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

using Lines = MatrixShape::Lines;

std::vector<std::string> scaled_strings() {
  std::vector<std::string> strings = {
      "int,8,unsigned,per=row,scale=range", "int,8,per=channel,scale=max", "nvfp4,scale=max",
      "even,8,0,block=3,scale=round", "stochastic,8,0,block=16,scale=max"};
  for (const FormatEntry& entry : format_list()) {
    for (const auto& example : entry.examples) {
      if (std::holds_alternative<Scaled>(*make_quantizer(example)->format())) {
        strings.emplace_back(example);
      }
    }
  }
  return strings;
}

// Numbers of many sizes, among them zeros, a line of zeros, and lines with NaN and infinity.
template <class T>
std::vector<T> numbers(std::int64_t rows, std::int64_t columns) {
  std::vector<T> x(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int wave = static_cast<int>(i * 37 % 101) - 50;
    x[i] = static_cast<T>(std::ldexp(wave, static_cast<int>(i * 13 % 11) - 8));
  }
  return x;
}

Scaled scaled(const std::string& spec) { return std::get<Scaled>(*make_quantizer(spec)->format()); }

template <class T>
T scale_of(const ScaledMatrix<T>& matrix, std::int64_t line, std::int64_t k) {
  const std::int64_t place = line * matrix.stride + k / matrix.block * matrix.step;
  return matrix.scales.at(static_cast<std::size_t>(place));
}

template <class T>
void expect_products_to_be_results(const std::string& spec, const std::vector<T>& x,
                                   const MatrixShape& shape) {
  const auto quantizer = make_quantizer(spec);
  Context context{.seed = 5, .stream = 2};
  const ScaledMatrix<T> matrix = scaled_matrix<T>(scaled(spec), x, shape, context);
  context.layout = shape.layout();
  std::vector<T> y(x.size());
  quantizer->quantize(x, y, context);
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(x.size()); ++i) {
    const std::int64_t row = i / shape.columns, column = i % shape.columns;
    const bool is_row = shape.lines == Lines::rows;
    const T s = is_row ? scale_of(matrix, row, column) : scale_of(matrix, column, row);
    const auto at = static_cast<std::size_t>(i);
    constexpr T kLargest = std::numeric_limits<T>::max();
    const T product = s * matrix.q[at];
    const T wanted = std::isfinite(matrix.q[at]) && !std::isnan(s)
                         ? std::clamp(product, -kLargest, kLargest)
                         : product;
    const bool both_nan = std::isnan(wanted) && std::isnan(y[at]);
    ASSERT_TRUE(both_nan || same_bits(wanted, y[at]))
        << spec << ", number " << i << " = " << x[at] << ": " << y[at] << ", " << s << " * "
        << matrix.q[at];
  }
}

template <class T>
void expect_products_to_be_results(const MatrixShape& shape) {
  const std::vector<T> plain = numbers<T>(shape.rows, shape.columns);
  std::vector<T> special = plain;
  special[1] = std::numeric_limits<T>::quiet_NaN();
  special[special.size() / 2] = -std::numeric_limits<T>::infinity();
  std::vector<T> huge = plain;
  for (T& x : huge) x *= std::numeric_limits<T>::max() / 4096;
  std::vector<T> tiny = plain;
  for (T& x : tiny) x *= std::numeric_limits<T>::min();
  for (const std::string& spec : scaled_strings()) {
    for (const auto& x : {plain, special, huge, tiny, std::vector<T>(plain.size(), T{0})}) {
      expect_products_to_be_results(spec, x, shape);
    }
  }
}

TEST(ScaledMatrix, TimesItsScalesIsWhatTheQuantizerGives) {
  EXPECT_GT(scaled_strings().size(), 10u);
  for (const Lines lines : {Lines::rows, Lines::columns}) {
    for (const auto& [rows, columns] : {std::pair{5, 70}, {70, 5}, {1, 33}, {33, 1}}) {
      expect_products_to_be_results<float>({rows, columns, lines});
      expect_products_to_be_results<double>({rows, columns, lines});
    }
  }
}

// int4 in blocks of two: s is the smallest power of two of which amax is no more than 7.
TEST(ScaledMatrix, HasItsBlocksAlongItsLines) {
  const Scaled format = scaled("even,4,0,block=2,scale=ceil");
  const std::vector<float> x = {4, 8, 1, 16, 2, 4};
  const auto rows = scaled_matrix<float>(format, x, {2, 3, Lines::rows});
  EXPECT_EQ(rows.scales, (std::vector<float>{2, 0.25f, 4, 1}));
  EXPECT_EQ(rows.q, (std::vector<float>{2, 4, 4, 4, 0, 4}));
  const auto columns = scaled_matrix<float>(format, x, {3, 2, Lines::columns}, {});
  EXPECT_EQ(columns.scales, (std::vector<float>{1, 4, 0.5f, 1}));
  EXPECT_EQ(columns.q, (std::vector<float>{4, 2, 1, 4, 4, 4}));
}

TEST(ScaledMatrix, OfIntegersHasNoZeroPoint) {
  const Scaled format = scaled("int,8,unsigned,scale=0.5,zero=77");
  const std::vector<float> x = {-100, -1, 0, 1, 1000};
  const auto matrix = scaled_matrix<float>(format, x, {1, 5, Lines::rows}, {});
  EXPECT_EQ(matrix.q, (std::vector<float>{-77, -2, 0, 2, 178}));
  EXPECT_EQ(matrix.scales, (std::vector<float>{0.5f}));
}

TEST(ScaledMatrix, HasTheSmallestExponentOfItsElements) {
  const std::vector<float> x(4);
  const auto exponent = [&](const char* spec) {
    return scaled_matrix<float>(scaled(spec), x, {2, 2, Lines::rows}, {}).min_exponent;
  };
  EXPECT_EQ(exponent("mxfp8_e4m3"), -6);
  EXPECT_EQ(exponent("nvfp4"), 0);
  EXPECT_EQ(exponent("p3109,8,4,per=row,scale=max"), -7);  // bias 8
  EXPECT_FALSE(exponent("mxint8").has_value());
  EXPECT_EQ(smallest_normal_exponent(*make_quantizer("p3109,8,4")), -7);
  EXPECT_FALSE(smallest_normal_exponent(*make_quantizer("mxfp8_e4m3")).has_value());
}

float product(const char* a_format, const char* b_format, const std::vector<float>& a,
              const std::vector<float>& b, const Arithmetic& arithmetic) {
  float y = 0;
  scaled_matrix_product<float>(arithmetic, {}, *make_quantizer(a_format), *make_quantizer(b_format),
                               1, static_cast<std::int64_t>(a.size()), 1, a.data(), b.data(),
                               nullptr, &y);
  return y;
}

// The inner accumulator holds -8 to 7 and sees q: 4 * 1 twice saturates, and both blocks give 7
// times their scales, 1/4 and 4.
TEST(ScaledMatrixProduct, AddsUpElementsAndMultipliesByScalesOutside) {
  const Arithmetic arithmetic =
      make_arithmetic(*make_quantizer("none"), *make_quantizer("even,4,0"), make_accumulate("step"),
                      OuterSum{make_quantizer("none"), 0});
  const std::vector<float> a = {1, 1, 16, 16}, ones = {1, 1, 1, 1};
  EXPECT_EQ(product("even,4,0,block=2,scale=ceil", "none", a, ones, arithmetic), 29.75f);
  EXPECT_EQ(product("none", "even,4,0,block=2,scale=ceil", ones, a, arithmetic), 29.75f);
}

TEST(ScaledMatrixProduct, LeavesMatricesOfFormatsWithoutScalesAsTheyAre) {
  EXPECT_EQ(product("even,8,0", "none", {1.25f, 2}, {1, 1}, {}), 3.25f);
  EXPECT_EQ(product("none", "even,8,0", {1, 1}, {1.25f, 2}, {}), 3.25f);
}

TEST(ScaledMatrixProduct, OfANaNGroupIsNaN) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isnan(product("mxfp4", "mxfp4", {infinity, 1}, {0, 1}, {})));
  EXPECT_TRUE(std::isnan(product("mxfp4", "none", {1, 1}, {1, std::nanf("")}, {})));
}

TEST(ScaledMatrixProduct, TakesEmptyMatrices) {
  for (const std::string& spec : scaled_strings()) {
    float y = 1;
    const auto quantizer = make_quantizer(spec);
    scaled_matrix_product<float>({}, {}, *quantizer, *quantizer, 1, 0, 1, nullptr, nullptr, nullptr,
                                 &y);
    EXPECT_EQ(y, 0.0f) << spec;
    float z = 1;
    scaled_matrix_products<float>({}, {}, *quantizer, *quantizer, {{1}, {1}, {}, 1, 0, 1}, nullptr,
                                  nullptr, nullptr, &z);
    EXPECT_EQ(z, 0.0f) << spec;
  }
}

// Each matrix of both batches as if it stood alone, for every format that has no scale of a tensor.
TEST(ScaledMatrixProducts, AreThoseOfTheMatrices) {
  constexpr std::int64_t kRows = 2, kTaps = 35, kColumns = 3;
  std::vector<float> a(3 * kRows * kTaps), b(3 * kTaps * kColumns), y(3 * kRows * kColumns);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i * 37 % 101) - 50;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i * 53 % 97) / 8 - 6;
  const std::vector<float> bias = {0.5f, -1, 2};
  for (const std::string& spec : scaled_strings()) {
    const auto quantizer = make_quantizer(spec);
    const Scale& scale = scaled(spec).scale;
    const bool has_one = scale.per == Scale::Per::tensor || scale.rule == Scale::Rule::e4m3;
    if (has_one || quantizer->is_random()) continue;
    scaled_matrix_products<float>({}, {}, *quantizer, *quantizer,
                                  {{3}, {3}, {3}, kRows, kTaps, kColumns}, a.data(), b.data(),
                                  bias.data(), y.data());
    for (std::size_t i = 0; i < 3; ++i) {
      std::vector<float> one(kRows * kColumns);
      scaled_matrix_product<float>({}, {}, *quantizer, *quantizer, kRows, kTaps, kColumns,
                                   a.data() + i * kRows * kTaps, b.data() + i * kTaps * kColumns,
                                   bias.data(), one.data());
      EXPECT_TRUE(std::ranges::equal(one, std::span(y).subspan(i * one.size(), one.size())))
          << spec;
    }
  }
}

}  // namespace
}  // namespace tensorquant
