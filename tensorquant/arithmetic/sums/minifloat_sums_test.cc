// Sums of products in small floats against the definition, where two roundings, overflow or signs
// of zeros could tell the kernel from it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/kernels/simd_target.h"
#include "tests/arithmetic_of.h"
#include "tests/difference.h"
#include "tests/matrix_sums.h"

namespace tensorquant {
namespace {

struct MinifloatProblem {
  std::int64_t rows, taps, columns;
  std::vector<float> a, b;  // rows x taps, taps x columns
};

SumsOfProducts<float> sums_of(const MinifloatProblem& p, std::vector<float>& y) {
  y.assign(static_cast<std::size_t>(p.rows * p.columns), -1.0f);
  return matrix_sums(p.rows, p.taps, p.columns, p.a, p.b, y.data());
}

// On every target. The plan's reason on this machine, or the kernel where it is another one.
std::string expect_the_reference(const std::string& product, const std::string& accumulator,
                                 const std::string& mode, const MinifloatProblem& p) {
  const Arithmetic arithmetic = arithmetic_of(product, accumulator, mode);
  std::vector<float> wanted, found;
  sums_of_products_reference(arithmetic, {}, sums_of(p, wanted));
  for (const SimdTarget& target : simd_targets()) {
    const ScopedSimdTarget scope(target);
    const SumPlan plan = sums_of_products(arithmetic, {}, sums_of(p, found));
    EXPECT_EQ(difference(found, wanted), "")
        << target.name << ", " << product << " / " << accumulator << " / " << mode << ", "
        << to_string(plan.kernel) << " (" << plan.reason << ")";
  }
  const SumPlan plan = sums_of_products(arithmetic, {}, sums_of(p, found));
  return plan.kernel == SumKernel::minifloat ? plan.reason : to_string(plan.kernel);
}

// Numbers of so many significant bits, with exponents from `lowest` to `highest`, some of them 0.
std::vector<float> floats_of(std::size_t count, int bits, int lowest, int highest,
                             std::mt19937& generator) {
  std::uniform_int_distribution<int> significand(1 << (bits - 1), (1 << bits) - 1);
  std::uniform_int_distribution<int> exponent(lowest, highest);
  std::vector<float> x(count);
  for (float& value : x) {
    value = std::ldexp(static_cast<float>(significand(generator)), exponent(generator) - bits + 1);
    if (generator() % 2 == 0) value = -value;
    if (generator() % 16 == 0) value = std::copysign(0.0f, value);
  }
  return x;
}

struct Pair {
  const char *product, *accumulator, *mode;
  int bits, lowest, highest;  // of the factors
  const char* reason;
};

MinifloatProblem problem_of(const Pair& pair, std::mt19937& generator) {
  const auto factors = [&](std::size_t count) {
    return floats_of(count, pair.bits, pair.lowest, pair.highest, generator);
  };
  std::vector<float> a = factors(9 * 20), b = factors(20 * 70);
  return {9, 20, 70, std::move(a), std::move(b)};
}

constexpr const char* kOpen = "floats that cannot overflow, in float32";
constexpr const char* kClamp = "floats that can saturate, in float32";
constexpr const char* kReplace = "floats that can overflow, in float32";
constexpr const char* kOpenDouble = "floats that cannot overflow, in float64";
constexpr const char* kClampDouble = "floats that can saturate, in float64";
constexpr const char* kReplaceDouble = "floats that can overflow, in float64";

// Every kind of step that is compiled.
constexpr Pair kPairs[] = {
    // Products that are exact: into binary32, into sums without and with small numbers.
    {"none", "none", "step", 24, -20, 3, kOpen},
    {"none", "float,8,23", "fused", 24, -20, 3, kOpen},
    {"none", "float,8,13", "step", 4, -3, 3, kOpen},
    {"none", "float,5,2", "step", 3, -8, 0, kOpen},
    {"none", "float,4,3,overflow=saturate", "step", 2, 0, 7, kClamp},
    {"none", "float,4,3,overflow=saturate", "step", 2, -6, 4, kClamp},
    {"none", "float,4,3", "step", 2, 0, 7, kReplace},
    {"none", "float,4,3", "step", 2, -6, 4, kReplace},
    {"none", "fp16", "step", 12, -1, 3, kOpenDouble},
    {"none", "fp16", "step", 12, -9, 3, kOpenDouble},
    {"none", "float,5,10,overflow=saturate", "step", 12, -1, 9, kClampDouble},
    {"none", "float,5,10,overflow=saturate", "step", 12, -4, 9, kClampDouble},
    {"none", "fp16", "step", 12, -1, 9, kReplaceDouble},
    {"none", "fp16", "step", 12, -4, 9, kReplaceDouble},
    // Into sums of more digits than float64 has.
    {"none", "float,8,13", "step", 24, -20, 3, kOpenDouble},
    {"none", "bf16", "fused", 24, -70, 3, kOpenDouble},
    {"none", "float,5,10,overflow=saturate", "step", 24, -20, 9, kClampDouble},
    {"none", "fp16", "step", 24, -20, 9, kReplaceDouble},
    {"none", "e4m3fn,overflow=nan", "step", 24, -20, 9, kReplaceDouble},
    {"none", "float,4,3,special=fnuz", "step", 24, -20, 9, "tiles"},
    {"none", "float,8,13,rounding=up", "step", 24, -20, 3, kOpen},
    {"float,8,22", "bf16", "step", 24, -40, 3, kOpenDouble},
    {"float,8,22", "float,5,10,overflow=saturate", "step", 24, -40, 9, kClampDouble},
    {"float,8,22", "fp16", "step", 24, -40, 9, kReplaceDouble},
    {"float,8,22", "e4m3fn,overflow=nan", "step", 24, -40, 9, kReplaceDouble},
    {"float,5,22", "fp16", "step", 24, -40, 9, kReplaceDouble},
    {"float,5,22,overflow=saturate", "bf16", "step", 24, -40, 9, kClampDouble},
    // The machine's.
    {"float,8,23", "float,8,23", "step", 24, -70, 3, kOpen},
    {"float,8,23", "none", "step", 24, -20, 3, kOpen},
    // Rounded ones, added up in binary32 or exactly.
    {"fp16", "float,8,23", "step", 24, -20, 3, kOpen},
    {"float,5,10,overflow=saturate", "float,8,23", "step", 24, -20, 9, kClamp},
    {"fp16", "float,8,23", "step", 24, -20, 9, kReplace},
    {"float,4,3", "posit,16", "once", 24, -9, 0, kOpen},
    {"float,4,3,overflow=saturate", "fp16", "once", 24, -9, 4, kClamp},
    {"fp16", "nearest,24,8", "once", 24, -9, 0, kOpenDouble},
    {"float,5,10,overflow=saturate", "nearest,24,8", "once", 24, -9, 9, kClampDouble},
    // Into sums of as many digits, or of more.
    {"fp16", "fp16", "step", 24, -20, 3, kOpen},
    {"fp16", "bf16", "step", 12, -20, 3, kOpenDouble},
    {"bf16", "bf16", "step", 24, -70, 40, kOpen},
    {"float,4,3", "float,8,13", "step", 24, -9, 2, kOpen},
    {"float,4,3", "float,4,3", "step", 24, -9, 3, kReplace},
    {"float,4,3", "float,4,3", "step", 24, -9, 7, kReplace},
    {"float,4,3", "float,8,13", "step", 24, -9, 7, kReplace},
    {"float,4,3,overflow=saturate", "float,4,3,overflow=saturate", "step", 24, -9, 3, kClamp},
    {"float,4,3,overflow=saturate", "float,4,3,overflow=saturate", "step", 24, -9, 7, kClamp},
    {"float,4,3,overflow=saturate", "float,8,13", "step", 24, -9, 7, kClamp},
    {"float,4,3,overflow=saturate", "float,4,3", "step", 24, -9, 7, kReplace},
    {"float,4,3", "float,4,3,overflow=saturate", "step", 24, -9, 7, kReplace},
    {"float,4,3", "float,4,3,overflow=propagate", "step", 24, -9, 7, "tiles"},
    {"float,4,3,overflow=propagate", "float,4,3,overflow=propagate", "step", 24, -9, 7, kClamp},
    {"e4m3fn,overflow=nan", "e4m3fn,overflow=nan", "step", 24, -9, 7, kReplace},
    {"float,4,3", "e4m3fn,overflow=nan", "step", 24, -9, 7, kReplace},
    {"float,4,3,special=fnuz", "float,4,3,special=fnuz", "step", 24, -9, 7, kClamp},
    {"float,4,3,special=fnuz,overflow=nan", "float,4,3,special=fnuz,overflow=nan", "step", 24, -9,
     7, kReplace},
    {"float,6,3", "float,4,3", "step", 24, -12, 3, kReplace},
    {"float,6,3", "float,4,3,special=fnuz", "step", 24, -12, 3, "tiles"},
    {"float,6,3", "float,5,10", "step", 24, -20, 3, kOpen},
    {"float,8,22", "float,8,22", "step", 24, -20, 3, kOpenDouble},
    {"float,5,12", "float,5,12", "step", 24, -20, 3, kOpenDouble},
    {"float,6,12", "float,5,12", "step", 24, -20, 3, kOpenDouble},
    {"float,5,12", "float,5,12", "step", 24, -20, 9, kReplaceDouble},
    {"float,5,12,overflow=saturate", "float,5,12,overflow=saturate", "step", 24, -20, 9,
     kClampDouble},
    // In the machine's other directions.
    {"float,5,10,rounding=zero", "float,5,10,rounding=zero", "step", 24, -20, 3, kOpen},
    {"float,5,10,rounding=zero", "float,5,10,rounding=zero", "step", 24, -20, 9, kClamp},
    {"float,8,21,rounding=zero", "float,8,21,rounding=zero", "step", 24, -20, 3, kOpen},
    {"float,6,10,rounding=zero", "float,4,10,rounding=zero", "step", 24, -20, 5, kClamp},
    {"none", "float,8,21,rounding=zero", "step", 24, -20, 3, kOpen},
    {"none", "float,8,23,rounding=zero", "step", 24, -20, 3, kOpen},
    {"float,4,3,rounding=zero", "float,8,23,rounding=zero", "step", 24, -9, 4, kClamp},
    {"float,4,3,rounding=up", "float,8,23,rounding=up", "step", 24, -9, 2, kOpen},
    {"float,4,3,rounding=zero", "posit,16", "once", 24, -9, 4, kClamp},
    {"none", "float,4,3,rounding=zero", "step", 24, -9, 3, kClamp},
    {"float,8,13,rounding=up", "float,8,13,rounding=up", "step", 24, -20, 3, kOpen},
    {"float,6,13,rounding=up", "float,5,13,rounding=up", "step", 24, -20, 3, kOpen},
    {"float,8,13,rounding=down", "float,8,13,rounding=down", "step", 24, -20, 3, kOpen},
    {"float,6,13,rounding=down", "float,5,13,rounding=down", "step", 24, -20, 3, "tiles"},
    {"float,4,3,rounding=down,overflow=saturate", "float,4,3,rounding=down,overflow=saturate",
     "step", 24, -9, 7, kClamp},
    {"float,4,3,rounding=up", "float,4,3,rounding=up", "step", 24, -9, 7, "tiles"},
    {"float,8,13,rounding=down", "float,8,23,rounding=down", "step", 24, -20, 3, kOpen},
    {"fp16", "float,5,10,rounding=zero", "step", 24, -20, 3, "tiles"},
    {"float,5,10,rounding=nearest", "float,5,10,rounding=nearest", "step", 24, -20, 3, "tiles"}};

TEST(MinifloatSums, EqualTheReferenceInEveryKindOfStep) {
  std::mt19937 generator(1);
  for (const Pair& pair : kPairs) {
    for (int i = 0; i < 12; ++i) {
      const MinifloatProblem p = problem_of(pair, generator);
      EXPECT_EQ(expect_the_reference(pair.product, pair.accumulator, pair.mode, p), pair.reason)
          << pair.product << " / " << pair.accumulator << ", " << pair.highest;
    }
  }
}

// A sum of P digits, then a product of Q that takes it next to a tie, from either side, as far as
// its digits reach, or on it. Some products come first, which add up to the sum exactly. The other
// factor is always 1.
TEST(MinifloatSums, AreRoundedOnceNextToTies) {
  struct Digits {
    int product, sum;
    const char* reason;
  };
  std::mt19937 generator(2);
  for (const Digits& digits : {Digits{9, 14, kOpen},
                               {10, 14, kOpenDouble},
                               {11, 11, kOpen},
                               {12, 11, kOpen},
                               {13, 11, kOpenDouble},
                               {8, 8, kOpen},
                               {15, 8, kOpen},
                               {16, 8, kOpenDouble},
                               {4, 19, kOpen},
                               {5, 19, kOpenDouble}}) {
    const std::string product = "float,8," + std::to_string(digits.product - 1);
    const std::string accumulator = "float,8," + std::to_string(digits.sum - 1);
    constexpr std::size_t kCases = 4000, kTaps = 12;
    MinifloatProblem p{1, kTaps, kCases, std::vector<float>(kTaps, 1.0f),
                       std::vector<float>(kTaps * kCases)};
    const auto up_to = [&](int most) {
      return std::uniform_int_distribution<int>(0, most)(generator);
    };
    for (std::size_t j = 0; j < kCases; ++j) {
      const auto set = [&](std::size_t k, double x) {
        p.b[k * kCases + j] = static_cast<float>(x);
      };
      // The sum is an integer. No product is larger than a quarter of it.
      const int top = 1 << (digits.sum - 1);
      for (std::size_t k = 0; k < 4; ++k) set(k, top / 4);
      int rest = up_to(top / 4 - 1) + up_to(1) * top / 4;
      for (std::size_t k = 4; rest != 0; ++k) {
        const int shift = std::max(0, std::ilogb(rest) + 1 - digits.product);
        set(k, rest >> shift << shift);
        rest &= (1 << shift) - 1;
      }
      const int halves = 1 + 2 * up_to(3);
      const int last = std::ilogb(halves) - digits.product;  // digit, of a half more or less
      const double off[] = {0, std::ldexp(1, last), -std::ldexp(1, last),
                            halves == 1 ? -std::ldexp(1, last - 1) : 0};
      set(kTaps - 1, (up_to(1) == 0 ? 0.5 : -0.5) * (halves + 2 * off[up_to(3)]));
    }
    EXPECT_EQ(expect_the_reference(product, accumulator, "step", p), digits.reason)
        << product << " / " << accumulator;
    // And products that are larger than the sum.
    for (std::size_t j = 0; j < kCases; ++j) {
      p.b[(kTaps - 1) * kCases + j] *= std::ldexp(1.0f, up_to(12));
    }
    expect_the_reference(product, accumulator, "step", p);
  }
}

// Exact products of 46 digits, from which the lanes' sum is a tie that the sum itself lies next to:
// in no row, in some, or in all, from either side, early or late. Behind it nothing is added.
TEST(MinifloatSums, GoWithoutTiesUntilThereIsOne) {
  constexpr std::size_t kRows = 64, kTaps = 150, kColumns = 70;
  std::mt19937 generator(6);
  struct Case {
    const char* accumulator;
    int digits;
    const char* reason;
  };
  for (const Case& c : {Case{"float,8,13", 14, kOpenDouble},
                        {"fp16", 11, kOpenDouble},
                        {"float,5,10,overflow=saturate", 11, kOpenDouble},
                        {"bf16", 8, kOpenDouble}}) {
    const float value = 1 + std::ldexp(1.0f, 1 - c.digits), half = std::ldexp(1.0f, -c.digits);
    for (const std::size_t every : {0, 17, 1}) {
      MinifloatProblem p{kRows, kTaps, kColumns, floats_of(kRows * kTaps, 24, -9, -1, generator),
                         floats_of(kTaps * kColumns, 24, -9, -1, generator)};
      const std::size_t at = generator() % (kTaps - 1);
      for (std::size_t row = 0; every != 0 && row < kRows; row += every) {
        const auto a = p.a.begin() + static_cast<std::ptrdiff_t>(row * kTaps);
        std::fill(a, a + kTaps, 0.0f);
        a[static_cast<std::ptrdiff_t>(at)] = value;
        a[static_cast<std::ptrdiff_t>(at + 1)] = (row % 2 == 0 ? half : -half) * (1 + 0x1p-23f);
      }
      if (every != 0) {
        const auto b = p.b.begin() + static_cast<std::ptrdiff_t>(at * kColumns);
        std::fill(b, b + kColumns, 1.0f);
        std::fill(b + kColumns, b + 2 * kColumns, 1 - 0x1p-23f);
      }
      EXPECT_EQ(expect_the_reference("none", c.accumulator, "step", p), c.reason)
          << c.accumulator << ", " << every;
      if (every == 0) continue;
      std::vector<float> y;
      sums_of_products(arithmetic_of("none", c.accumulator, "step"), {}, sums_of(p, y));
      for (std::size_t j = 0; j < kColumns; ++j) EXPECT_EQ(y[j], value) << c.accumulator;
    }
  }
}

// By their roundings alone, sums of so few digits could grow by an eighth a step.
TEST(MinifloatSums, OfManyProductsStayInFloat32) {
  std::mt19937 generator(4);
  for (const auto& [format, reason] :
       {std::pair{"float,4,3", kReplace}, {"float,4,3,overflow=saturate", kClamp}}) {
    const MinifloatProblem p{3, 1200, 33, floats_of(3 * 1200, 24, -9, 2, generator),
                             floats_of(1200 * 33, 24, -9, 2, generator)};
    EXPECT_EQ(expect_the_reference(format, format, "step", p), reason);
  }
}

TEST(MinifloatSums, TakeInfinitiesAndNan) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::mt19937 generator(3);
  for (const Pair& pair :
       {Pair{"fp16", "fp16", "step", 24, -20, 3, kReplace},
        {"fp16", "fp16", "step", 24, -20, 12, kReplace},
        {"float,4,3", "float,4,3", "step", 24, -9, 3, kReplace},
        {"float,4,3", "float,8,13", "step", 24, -9, 3, kReplace},
        {"float,8,23", "float,8,23", "step", 24, -20, 3, kReplace},
        {"none", "none", "step", 24, -20, 3, kReplace},
        {"none", "fp16", "step", 12, -4, 9, kReplaceDouble},
        {"none", "float,8,13", "step", 24, -20, 3, kReplaceDouble},
        {"float,6,3", "float,4,3", "step", 24, -12, 3, kReplace},
        {"fp16", "float,5,10,overflow=saturate", "step", 24, -20, 3, "tiles"},
        {"e4m3fn,overflow=nan", "fp16", "step", 24, -20, 3, "tiles"},
        {"float,5,10,rounding=zero", "float,5,10,rounding=zero", "step", 24, -20, 3, "tiles"},
        {"fp16", "fp16", "once", 24, -9, 3, "reference"}}) {
    for (int i = 0; i < 4; ++i) {
      MinifloatProblem p = problem_of(pair, generator);
      p.a[generator() % p.a.size()] = kInfinity;
      p.a[generator() % p.a.size()] = std::numeric_limits<float>::quiet_NaN();
      for (int j = 0; j < 30; ++j) {
        p.b[generator() % p.b.size()] = generator() % 2 == 0 ? kInfinity : -kInfinity;
      }
      EXPECT_EQ(expect_the_reference(pair.product, pair.accumulator, pair.mode, p), pair.reason)
          << pair.product << " / " << pair.accumulator << ", " << pair.highest;
    }
  }
}

// The products are -2^-40 + 0, which becomes -0 + 0; -0 - 0, added to 0; and 0 - 2^-40.
TEST(MinifloatSums, KeepTheSignsOfZerosThatSmallNumbersBecome) {
  const MinifloatProblem p{
      1, 2, 3, {-0x1p-20f, 0x1p-20f}, {0x1p-20f, 0, -0.0f, 0, -0.0f, -0x1p-20f}};
  for (const auto& [product, accumulator] :
       {std::pair<std::string, std::string>{"none", "float,5,10"},
        {"bf16", "float,5,10"},
        {"none", "float,5,10,rounding=zero"},
        {"float,8,10,rounding=up", "float,5,10,rounding=up"}}) {
    std::vector<float> y;
    sums_of_products_reference(
        make_arithmetic(*make_quantizer(product), *make_quantizer(accumulator), {}), {},
        sums_of(p, y));
    EXPECT_EQ(difference(y, {0.0f, 0.0f, -0.0f}), "") << product << " / " << accumulator;
    expect_the_reference(product, accumulator, "step", p);
  }
}

}  // namespace
}  // namespace tensorquant
