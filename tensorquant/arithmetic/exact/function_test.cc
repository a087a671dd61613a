#include "tensorquant/arithmetic/exact/function.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tensorquant/arithmetic/layers/elementwise.h"
#include "tensorquant/arithmetic/layers/exact_steps.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

GridFormat format_of(const char* spec) { return *grid_format(*make_quantizer(spec)->format()); }

// y = P(f(x)) as layers compute it: from the C library's function where that is good enough.
float computed(const GridFormat& format, Function function, float x) {
  float y = 0;
  const Arithmetic arithmetic{.product = format};
  rounded_function<float>(arithmetic, {}, function, {&x, 1}, {&y, 1});
  return y;
}

float defined(const GridFormat& format, Function function, float x) {
  return to_type<float>(format, round_function<float>(format, function, x, {}));
}

float next(float x) { return std::nextafter(x, kInfinity); }

// The last float32 in [low, high) below whose successor f passes y; f is monotone there.
float place_of(Function function, double y, float low, float high) {
  const auto is_below = [&](float x) { return approximation(function, x) < y; };
  const bool rises = is_below(low);
  while (next(low) < high) {
    const float middle = low + (high - low) / 2;
    float& end = is_below(middle) == rises ? low : high;
    if (end == middle) break;
    end = middle;
  }
  return low;
}

TEST(Function, IsRoundedOnItsSideOfEachBorderNextToIt) {
  struct Range {
    Function function;
    float low, high;
  };
  const std::vector<Range> ranges = {{Function::exp, -5, 5},
                                     {Function::log, 0.1F, 50},
                                     {Function::sqrt, 0.01F, 50},
                                     {Function::rsqrt, 0.01F, 50},
                                     {Function::reciprocal, 0.1F, 50},
                                     {Function::erf, -2, 2},
                                     {Function::tanh, -3, 3},
                                     {Function::sigmoid, -5, 5},
                                     {Function::silu, -1, 5},
                                     {Function::gelu, -0.5F, 5},
                                     {Function::gelu_tanh, -0.5F, 5},
                                     {Function::softplus, -5, 5},
                                     {Function::hardsigmoid, -2.9F, 2.9F},
                                     {Function::hardswish, -1, 2.9F}};
  for (const char* spec : {"fp16", "nearest,24,16", "even,16,8", "up,16,8",
                           "float,8,15,rounding=odd", "posit,16", "p3109,8,4"}) {
    const GridFormat format = format_of(spec);
    for (const auto& [function, low, high] : ranges) {
      for (int i = 1; i < 12; ++i) {
        // A value of the format, and the middle between two.
        const float x = low + (high - low) * static_cast<float>(i) / 12;
        const double value = defined(format, function, x);
        const double neighbour = defined(format, function, next(x + 0.05F));
        for (const double border : {value, (value + neighbour) / 2}) {
          float place = place_of(function, border, low, high);
          for (int step = 0; step < 3; ++step, place = next(place)) {
            ASSERT_TRUE(
                same_bits(computed(format, function, place), defined(format, function, place)))
                << to_string(function) << " of " << place << ", " << spec;
          }
        }
      }
    }
  }
}

TEST(Function, IsItsLimitAtInfinitiesAndZeros) {
  const GridFormat none = Identity{};
  const auto at = [&](Function function, float x) { return defined(none, function, x); };
  EXPECT_TRUE(same_bits(at(Function::exp, -kInfinity), 0.0F));
  EXPECT_TRUE(same_bits(at(Function::silu, -kInfinity), -0.0F));
  EXPECT_TRUE(same_bits(at(Function::gelu, -kInfinity), -0.0F));
  EXPECT_TRUE(same_bits(at(Function::tanh, -0.0F), -0.0F));
  EXPECT_TRUE(same_bits(at(Function::rsqrt, -0.0F), -kInfinity));
  EXPECT_TRUE(same_bits(at(Function::log, 0.0F), -kInfinity));
  EXPECT_TRUE(std::isnan(at(Function::log, -1.0F)));
  EXPECT_TRUE(std::isnan(at(Function::sqrt, -1.0F)));
}

TEST(Function, WithoutASeriesIsNextToTheNumberThatItNears) {
  // tanh(20) is 1 - 2^-57: below 1 where that counts.
  EXPECT_EQ(defined(format_of("down,16,8"), Function::tanh, 20.0F), 1 - 0x1p-8F);
  EXPECT_EQ(defined(format_of("down,16,8"), Function::tanh, 100.0F), 1 - 0x1p-8F);
  EXPECT_EQ(defined(format_of("up,16,8"), Function::exp, -2000.0F), 0x1p-8F);
  EXPECT_EQ(defined(format_of("float,8,23,rounding=up"), Function::exp, 0x1p-120F), next(1));
  EXPECT_EQ(defined(format_of("float,8,23,rounding=zero"), Function::gelu, 60.0F),
            std::nextafter(60.0F, 0.0F));
}

// By mpmath, with 4000 bits; those of 2^54 and more are just below x or above it.
TEST(Function, IsRoundedBeforeItWrapsHoweverLargeItIs) {
  struct Case {
    Function function;
    const char* format;
    float x, wanted;
  };
  using enum Function;
  for (const auto& [function, spec, x, wanted] : {
           Case{sqrt, "even,16,8,overflow=wrap", 0x1.2eec2ep+101F, 0x1.d048p+6F},
           {sqrt, "down,24,64,overflow=wrap", 0x1.ff933cp+126F, -0x1.e6041cp-42F},
           {sqrt, "up,12,64,overflow=wrap", 0x1p+126F, 0},
           {sqrt, "up,12,40,overflow=wrap", 0x1.8p+1F, 0x1.614p-30F},
           {silu, "down,8,0,overflow=wrap", 0x1p+54F, -1},
           {silu, "down,8,64,overflow=wrap", 0x1p+127F, -0x1p-64F},
           {silu, "up,8,0,overflow=wrap", -0x1.68p+6F, 0},
           {softplus, "up,8,0,overflow=wrap", 0x1p+54F, 1},
           {softplus, "up,16,64,overflow=wrap", 0x1p+100F, 0x1p-64F},
           {gelu_tanh, "down,8,10,overflow=wrap", 0x1p+60F, -0x1p-10F},
           {gelu, "down,19,59,overflow=wrap", 0x1.c8dd8ap+5F, -0x1p-59F},
           {sigmoid, "down,16,60,overflow=wrap", 0x1.9p+6F, -0x1p-60F},
           {sigmoid, "up,16,64,overflow=wrap", 0x1.b38fb8p-127F, 0x1p-64F},
           {erf, "down,16,64,overflow=wrap", 0x1.6p+3F, -0x1p-64F},
           {erf, "up,16,64,overflow=wrap", -0x1.6p+3F, 0x1p-64F},
           {exp, "up,16,60,overflow=wrap", 0x1.b38fb8p-127F, 0x1p-60F},
           {exp, "down,16,64,overflow=wrap", -0x1.b38fb8p-127F, -0x1p-64F},
           {tanh, "up,11,61,overflow=wrap", -0x1.5a47aep+6F, 0x1p-61F},
           {tanh, "down,20,64,overflow=wrap", 0x1.42p+6F, -0x1p-64F},
           {hardswish, "even,16,64,overflow=wrap", 0x1.4p+90F, 0},
       }) {
    const GridFormat format = format_of(spec);
    EXPECT_EQ(defined(format, function, x), wanted) << to_string(function) << ", " << spec;
    EXPECT_EQ(computed(format, function, x), wanted) << to_string(function) << ", " << spec;
  }
}

// By square roots of integers.
TEST(Function, RootsOfSumsAreRoundedBeforeTheyWrap) {
  struct Case {
    const char* format;
    double a, b, wanted;
  };
  for (const auto& [spec, a, b, wanted] :
       {Case{"even,24,8,overflow=wrap", 0x1.2eec2ep+101, 0x1p-20, 0x1.b9d048p+14},
        {"even,16,8,overflow=wrap", 0x1.2eec2ep+101, 0x1p-20, 0x1.d048p+6},
        {"down,53,-50,overflow=wrap", 0x1p+1000, 0x1p+600, 0x1.ffffffffffffp+98},
        {"down,24,20,overflow=wrap", 0x1p+1000, 0x1p+480, 0},
        {"up,12,64,overflow=wrap", 0x1p+1000, 0x1p-1000, 0x1p-64},
        {"down,12,40,overflow=wrap", 0x1p+1000, -0x1p+470, -0x1.008p-31},
        {"up,12,40,overflow=wrap", 0x1p+1000, 0x1.8p+491, 0},
        {"up,12,64,overflow=wrap", 0x1p-1000, 0, 0x1p-64}}) {
    const ExactSteps<double> steps({.product = format_of(spec)}, {});
    EXPECT_EQ(steps.root_of_sum(a, b, 0, 0), wanted) << spec << ", " << a << ", " << b;
  }
}

TEST(Function, ThatIsUnknownIsRefused) {
  EXPECT_THROW(make_function("sine"), std::runtime_error);
  for (const Function function : all_functions()) {
    EXPECT_EQ(make_function(to_string(function)), function);
  }
}

}  // namespace
}  // namespace tensorquant
