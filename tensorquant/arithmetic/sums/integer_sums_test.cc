// Sums of small integers, by integers.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/kernels/simd_target.h"
#include "tests/difference.h"

namespace tensorquant {
namespace {

struct Ends {
  std::int64_t lowest, highest;
};

Arithmetic exact_sums() {
  return make_arithmetic(*make_quantizer("none"), *make_quantizer("none"), make_accumulate("once"));
}

// Its first numbers are the ends, the third one is odd.
std::vector<std::int64_t> integers(std::int64_t count, const Ends& ends, std::mt19937& generator) {
  std::uniform_int_distribution<std::int64_t> any(ends.lowest, ends.highest);
  std::vector<std::int64_t> x;
  for (std::int64_t i = 0; i < count; ++i) {
    const bool is_end = i < 2 || generator() % 4 == 0;
    x.push_back(!is_end ? any(generator) : i % 2 == 0 ? ends.lowest : ends.highest);
  }
  x[2] = ends.highest > 0 ? 1 : -1;
  return x;
}

std::vector<float> times(const std::vector<std::int64_t>& integers, float unit) {
  std::vector<float> x;
  for (const std::int64_t i : integers) x.push_back(static_cast<float>(i) * unit);
  return x;
}

// What the planner says of a problem's factors; empty without integer loops.
std::string bits_of(const SumPlan& plan) {
  if (plan.kernel != SumKernel::integer) return "";
  return plan.reason.substr(plan.reason.find("integers of"));
}

struct Shape {
  std::int64_t rows, taps, columns;
};

// By matrix_product(), whose columns are neighbours, and by linear(), whose taps are.
void expect_exact_sums(const Shape& shape, const Ends& a_ends, const Ends& b_ends,
                       const std::string& bits, std::mt19937& generator) {
  const auto& [rows, taps, columns] = shape;
  const auto a = integers(rows * taps, a_ends, generator);
  const auto b = integers(columns * taps, b_ends, generator);  // column by column
  std::vector<float> wanted;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      std::int64_t sum = 0;
      for (std::int64_t k = 0; k < taps; ++k) {
        sum +=
            a[static_cast<std::size_t>(i * taps + k)] * b[static_cast<std::size_t>(j * taps + k)];
      }
      wanted.push_back(static_cast<float>(sum) * 0x1p-10f);
    }
  }
  const std::vector<float> x = times(a, 0x1p-30f), w = times(b, 0x1p20f);
  std::vector<float> turned_w;
  for (std::int64_t k = 0; k < taps; ++k) {
    for (std::int64_t j = 0; j < columns; ++j) {
      turned_w.push_back(w[static_cast<std::size_t>(j * taps + k)]);
    }
  }
  const auto expect_wanted = [&](const SumPlan& plan, const std::vector<float>& y,
                                 const std::string& where) {
    EXPECT_EQ(difference(y, wanted), "")
        << where << ", " << rows << " x " << taps << " x " << columns << ", [" << a_ends.lowest
        << ", " << a_ends.highest << "] and [" << b_ends.lowest << ", " << b_ends.highest << "], "
        << to_string(plan.kernel) << " (" << plan.reason << ")";
    if (plan.kernel == SumKernel::tiles) return;  // without a fused multiply-add
    EXPECT_EQ(bits_of(plan), bits) << where;
  };
  for (const SimdTarget& target : simd_targets()) {
    const ScopedSimdTarget scope(target);
    std::vector<float> y(wanted.size());
    const SumPlan plan = matrix_product<float>(exact_sums(), {}, rows, taps, columns, x.data(),
                                               turned_w.data(), nullptr, y.data());
    expect_wanted(plan, y, target.name + ", matrices");
    std::fill(y.begin(), y.end(), -1.0f);
    const SumPlan second =
        linear<float>(exact_sums(), {}, rows, taps, columns, x.data(), w.data(), nullptr, y.data());
    expect_wanted(second, y, target.name + ", linear");
  }
}

// A byte with a sign and one without, once the lowest integer is taken off. The first numbers of
// each factor are its ends, so with three products or more the planner sees just these.
TEST(IntegerSums, OfBytesAreExactForAnyShape) {
  struct Case {
    Ends a, b;
    const char* bits;
  };
  constexpr const char* k8 = "integers of 8 bits";
  constexpr const char* k16 = "integers of 16 bits";
  const Case cases[] = {{{-127, 127}, {-127, 127}, k8},  {{-128, 127}, {-128, 127}, k8},
                        {{-128, 127}, {0, 255}, k8},     {{0, 255}, {-128, 127}, k8},
                        {{-3, 252}, {-128, 127}, k8},    {{-128, 127}, {-252, 3}, k8},
                        {{-127, 128}, {-128, 127}, k8},  {{-128, 127}, {-255, 0}, k8},
                        {{-127, 128}, {-127, 128}, k16}, {{-128, 128}, {-128, 127}, k16},
                        {{0, 255}, {0, 255}, k16},       {{0, 256}, {-128, 127}, k16},
                        {{-129, 0}, {-129, 0}, k16},     {{-7, 7}, {-300, 300}, k16}};
  const Shape shapes[] = {{1, 3, 1},  {1, 4, 2},   {2, 3, 31},  {3, 5, 32}, {4, 7, 33},
                          {5, 8, 70}, {8, 31, 64}, {9, 33, 65}, {70, 6, 3}, {17, 130, 96}};
  std::mt19937 generator(1);
  for (const Case& c : cases) {
    for (const Shape& shape : shapes) expect_exact_sums(shape, c.a, c.b, c.bits, generator);
  }
}

// 131071 products of 2^14 are an int32, 131072 are none; one more tap makes the factors odd. The
// loops' own sums, of bytes without a sign, are up to four times as large.
TEST(IntegerSums, OfBytesAreExactUpToTheEndsOfInt32) {
  constexpr std::int64_t kMost = 131071;
  for (const std::int64_t products : {kMost, kMost + 1}) {
    for (const float sign : {1.0f, -1.0f}) {
      const std::int64_t taps = products + 1;
      std::vector<float> x(static_cast<std::size_t>(taps), -128.0f), w(3 * x.size(), -128.0f);
      std::fill(w.begin(), w.begin() + static_cast<std::ptrdiff_t>(taps), sign * 127);
      x.back() = 1;
      for (std::size_t j = 1; j <= 3; ++j) w[j * x.size() - 1] = 0;
      const auto sum = static_cast<float>(products * 16384);  // rounded to 24 bits
      const std::vector<float> wanted = {static_cast<float>(products * 128 * 127) * -sign, sum,
                                         sum};
      for (const SimdTarget& target : simd_targets()) {
        const ScopedSimdTarget scope(target);
        std::vector<float> y(3);
        const SumPlan plan =
            linear<float>(exact_sums(), {}, 1, taps, 3, x.data(), w.data(), nullptr, y.data());
        EXPECT_EQ(difference(y, wanted), "") << target.name << ", " << products << ", " << sign;
        if (plan.kernel == SumKernel::tiles) continue;
        EXPECT_EQ(bits_of(plan), products == kMost ? "integers of 8 bits" : "") << plan.reason;
      }
    }
  }
}

}  // namespace
}  // namespace tensorquant
