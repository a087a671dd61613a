#include "tensorquant/arithmetic/sums/sums_of_products.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>

#include "tensorquant/arithmetic/layers/convolution.h"
#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/quantizers/format_list.h"
#include "tests/arithmetic_of.h"
#include "tests/difference.h"
#include "tests/floats.h"
#include "tests/hostile_float_environment.h"
#include "tests/matrix_sums.h"

namespace tensorquant {
namespace {

// Numbers of different kinds: what a kernel may do depends on their range and grid.
enum class Numbers { integers, few_bits, coarse, some_bits, any_bits, large, tiny };
constexpr Numbers kAllNumbers[] = {Numbers::integers,  Numbers::few_bits, Numbers::coarse,
                                   Numbers::some_bits, Numbers::any_bits, Numbers::large,
                                   Numbers::tiny};

std::vector<float> numbers(std::size_t count, Numbers kind, std::mt19937& generator) {
  std::uniform_int_distribution<int> integer(-32768, 32767);
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& value : x) {
    switch (kind) {
      case Numbers::integers:  // coarser than the steps of most formats
        value = static_cast<float>((integer(generator) >> 11) * 2);
        break;
      case Numbers::few_bits:  // 4 bits
        value = static_cast<float>(integer(generator) >> 12) * 0x1p-2f;
        break;
      case Numbers::coarse:  // 8 bits, so that many products lie on ties of coarser grids
        value = static_cast<float>(integer(generator) >> 8) * 0x1p-4f;
        break;
      case Numbers::some_bits:  // 12 bits
        value = static_cast<float>(integer(generator) >> 4) * 0x1p-9f;
        break;
      case Numbers::any_bits:
        value = normal(generator);
        break;
      case Numbers::large:
        value = normal(generator) * 300.0f;
        break;
      case Numbers::tiny:
        value = normal(generator) * 0x1p-120f;
        break;
    }
  }
  return x;
}

struct Problem {
  std::int64_t rows, taps, columns;
  std::vector<float> a, b, bias;
};

Problem problem(std::int64_t rows, std::int64_t taps, std::int64_t columns, Numbers a, Numbers b,
                std::mt19937& generator) {
  return {rows,
          taps,
          columns,
          numbers(static_cast<std::size_t>(rows * taps), a, generator),
          numbers(static_cast<std::size_t>(taps * columns), b, generator),
          numbers(static_cast<std::size_t>(columns), Numbers::any_bits, generator)};
}

std::vector<float> compute(const Arithmetic& arithmetic, const Problem& p, bool has_bias,
                           SumPlan* plan = nullptr) {
  std::vector<float> y(static_cast<std::size_t>(p.rows * p.columns), -1.0f);
  const SumPlan found =
      matrix_product(arithmetic, {7, 1, 2, 3}, p.rows, p.taps, p.columns, p.a.data(), p.b.data(),
                     has_bias ? p.bias.data() : nullptr, y.data());
  if (plan != nullptr) *plan = found;
  return y;
}

std::vector<float> compute_reference(const Arithmetic& arithmetic, const Problem& p,
                                     bool has_bias) {
  std::vector<float> y(static_cast<std::size_t>(p.rows * p.columns), -2.0f);
  SumsOfProducts<float> sums = matrix_sums(p.rows, p.taps, p.columns, p.a, p.b, y.data());
  sums.column_bias = has_bias ? p.bias.data() : nullptr;
  sums_of_products_reference(arithmetic, {7, 1, 2, 3}, sums);
  return y;
}

// The first output that differs, for people to read; empty where none does.
constexpr const char* kProducts[] = {"none",
                                     "nearest,8,4",
                                     "even,8,4",
                                     "zero,8,4",
                                     "down,8,4",
                                     "up,8,4",
                                     "nearest,16,8",
                                     "even,16,8",
                                     "zero,16,8",
                                     "down,16,8",
                                     "up,16,8",
                                     "even,24,12",
                                     "even,8,4,unsigned",
                                     "nearest,8,4,overflow=symmetric",
                                     "nearest,32,20",
                                     "nearest,32,8",
                                     "zero,32,16",
                                     "even,12,-3",
                                     "even,16,8,overflow=wrap",
                                     "fp16",
                                     "float,4,3",
                                     "float,5,2,overflow=saturate",
                                     "bf16",
                                     "float,8,23",
                                     "float,4,3,rounding=zero",
                                     "float,8,13,rounding=up",
                                     "float,4,3,rounding=stochastic",
                                     "float,5,2,rounding=stochastic,random_bits=8",
                                     "logarithmic",
                                     "logarithmic,exponent",
                                     "logarithmic,min=-6,max=3",
                                     "posit,8",
                                     "posit,32",
                                     "p3109,8,3",
                                     "stochastic,16,8",
                                     "stochastic,12,6,random_bits=8",
                                     "stochastic,20,10,random_bits=20"};
constexpr const char* kAccumulators[] = {"none",
                                         "nearest,8,4",
                                         "even,12,4",
                                         "nearest,24,12",
                                         "even,20,8",
                                         "even,12,4,unsigned",
                                         "nearest,10,4,overflow=symmetric",
                                         "nearest,28,12,overflow=symmetric",
                                         "nearest_up,16,6",
                                         "nearest,16,8",
                                         "even,32,16",
                                         "nearest,32,16",
                                         "zero,16,6",
                                         "even,16,6",
                                         "down,12,2",
                                         "nearest,16,8,overflow=wrap",
                                         "even,32,30,overflow=wrap",
                                         "fp16",
                                         "float,5,2",
                                         "float,4,3,overflow=saturate",
                                         "float,4,3",
                                         "bf16",
                                         "float,8,13,rounding=zero",
                                         "float,8,13,rounding=nearest",
                                         "float,8,23,rounding=down",
                                         "logarithmic",
                                         "logarithmic,exponent",
                                         "posit,16",
                                         "posit,6,1",
                                         "p3109,8,1,rounding=odd",
                                         "stochastic,20,6",
                                         "stochastic,32,16",
                                         "stochastic,24,4,random_bits=8",
                                         "float,5,10,rounding=stochastic",
                                         "float,4,3,rounding=stochastic,random_bits=16",
                                         "e4m3fnuz,rounding=stochastic",
                                         "float,8,13,rounding=stochastic,random_bits=20"};
constexpr const char* kModes[] = {"step", "once", "chunk:3", "fused"};

// All combinations are some ten thousand; each run takes those of its own remainder, and all
// targets the same.
TEST(SumsOfProducts, EqualTheReferenceOnEveryTarget) {
  constexpr std::int64_t kRows[] = {1, 2, 5, 8, 9, 19}, kTaps[] = {0, 1, 2, 9, 27};
  constexpr std::int64_t kColumns[] = {1, 3, 16, 33, 70, 150};
  std::mt19937 generator(1);
  std::map<SumKernel, std::size_t> hits;
  std::map<std::string, std::size_t> tiles;  // by their reasons
  std::size_t outputs = 0;
  for (const char* product : kProducts) {
    for (const char* accumulator : kAccumulators) {
      for (const char* mode : kModes) {
        const Arithmetic arithmetic = arithmetic_of(product, accumulator, mode);
        for (int i = 0; i < 6; ++i) {
          const auto pick = [&](const auto& list) { return list[generator() % std::size(list)]; };
          const Problem p = problem(pick(kRows), pick(kTaps), pick(kColumns), pick(kAllNumbers),
                                    pick(kAllNumbers), generator);
          const bool has_bias = generator() % 2 == 0;
          const std::vector<float> wanted = compute_reference(arithmetic, p, has_bias);
          outputs += wanted.size();
          for (const SimdTarget& target : simd_targets()) {
            const ScopedSimdTarget scope(target);
            SumPlan plan;
            const std::vector<float> found = compute(arithmetic, p, has_bias, &plan);
            ++hits[plan.kernel];
            if (plan.kernel == SumKernel::tiles) ++tiles[plan.reason];
            ASSERT_EQ(difference(found, wanted), "")
                << target.name << ", " << product << " / " << accumulator << " / " << mode << ", "
                << p.rows << " x " << p.taps << " x " << p.columns << ", kernel "
                << to_string(plan.kernel) << " (" << plan.reason << ")";
          }
        }
      }
    }
  }
  const std::size_t enough = 4 * simd_targets().size();
  for (const SumKernel kernel :
       {SumKernel::reference, SumKernel::tiles, SumKernel::integer, SumKernel::exact,
        SumKernel::fixed_int, SumKernel::fixed_float, SumKernel::fixed_double, SumKernel::minifloat,
        SumKernel::stochastic}) {
    EXPECT_GT(hits[kernel], enough) << to_string(kernel);
    RecordProperty(to_string(kernel), static_cast<int>(hits[kernel]));
  }
  EXPECT_EQ(tiles.size(), 5u);
  for (const auto& [reason, count] : tiles) EXPECT_GT(count, enough) << reason;
  RecordProperty("outputs", static_cast<int>(outputs));
  EXPECT_GT(outputs, 1000000u);
}

// The lists above are chosen to reach every kernel; this one forgets no format.
TEST(SumsOfProducts, EqualTheReferenceForEveryListedGrid) {
  std::mt19937 generator(3);
  for (const FormatEntry& entry : format_list()) {
    for (const std::string_view example : entry.examples) {
      const std::string spec(example);
      if (!grid_format(*make_quantizer(spec)->format())) continue;
      for (const auto& [product, accumulator] :
           {std::pair<std::string, std::string>{spec, "nearest,20,6"},
            {"even,16,8", spec},
            {spec, spec}}) {
        for (const char* mode : kModes) {
          const Problem p = problem(5, 9, 33, kAllNumbers[generator() % std::size(kAllNumbers)],
                                    Numbers::some_bits, generator);
          const Arithmetic arithmetic = arithmetic_of(product, accumulator, mode);
          const std::vector<float> wanted = compute_reference(arithmetic, p, true);
          EXPECT_EQ(difference(compute(arithmetic, p, true), wanted), "")
              << product << " / " << accumulator << " / " << mode;
        }
      }
    }
  }
}

TEST(SumsOfProducts, DoNotDependOnTheNumberOfThreads) {
  std::mt19937 generator(2);
  for (const char* product : {"nearest,16,8", "even,16,8", "nearest,32,20", "fp16",
                              "stochastic,16,8", "zero,16,8", "logarithmic"}) {
    const Arithmetic arithmetic = arithmetic_of(product, "nearest,20,6", "step");
    const Problem p = problem(67, 60, 530, Numbers::any_bits, Numbers::some_bits, generator);
    set_num_threads(1);
    const std::vector<float> wanted = compute(arithmetic, p, true);
    for (const int count : {2, 3, 7}) {
      set_num_threads(count);
      EXPECT_EQ(difference(compute(arithmetic, p, true), wanted), "") << product << ", " << count;
    }
  }
  set_num_threads(0);
}

#if defined(__x86_64__)
TEST(SumsOfProducts, KeepSubnormalsThoughTheirCallerFlushesThem) {
  const Problem p{.rows = 1,
                  .taps = 4,
                  .columns = 1,
                  .a = {0x1p-70f, 0x1p-75f, 3 * 0x1p-149f, -0x1p-149f},
                  .b = {0x1p-70f, 0x1p-74f, 1, 1},
                  .bias = {}};
  for (const char* format : {"none", "float,8,23", "bf16", "logarithmic"}) {
    const Arithmetic arithmetic = arithmetic_of(format, "float,8,23", "step");
    // 2^-140 + 2^-149 + 3 * 2^-149 - 2^-149; bfloat16's subnormals are multiples of 2^-133 and a
    // power of two near 3 * 2^-149 is 2^-147.
    const float wanted = std::string(format) == "bf16"          ? 0
                         : std::string(format) == "logarithmic" ? 0x1p-140f + 4 * 0x1p-149f
                                                                : 0x1p-140f + 3 * 0x1p-149f;
    std::vector<float> y;
    {
      const HostileFloatEnvironment hostile;
      y = compute(arithmetic, p, false);
    }
    EXPECT_TRUE(same_bits(y[0], wanted)) << format << ": " << hex(y[0]);
  }
}
#endif

// Kernels try without the accumulator's limits, and look at the sums from time to time. Here no sum
// comes near them, or one does: at the first tap or a later one, for some taps or to the end, from
// either side, and all of them, again and again.
TEST(SumsOfProducts, SaturateWhereverTheyReachALimit) {
  constexpr std::size_t kRows = 16, kTaps = 150, kColumns = 70;
  std::mt19937 generator(5);
  std::uniform_real_distribution<float> small(-0.5F, 0.5F);
  struct Pair {
    const char *product, *accumulator, *wide;
  };
  for (const auto& [product, accumulator, wide] :
       {Pair{"even,16,8", "even,12,8", "even,24,8"},
        {"even,16,8", "even,16,12", "even,28,12"},
        {"nearest,16,8", "nearest,12,8", "nearest,24,8"},
        {"nearest,32,20", "nearest,24,20", "nearest,32,20"},
        {"none", "nearest,12,8", "nearest,24,8"},
        {"fp16", "float,3,10", "float,4,10,bias=3"},
        {"fp16", "float,3,10,overflow=saturate", "float,4,10,bias=3"},
        {"e4m3fn,overflow=nan", "float,3,6,special=fn,overflow=nan", "float,4,6,bias=3"},
        {"float,5,10,rounding=zero", "float,3,10,rounding=zero", "float,4,10,bias=3,rounding=zero"},
        {"float,5,12", "float,3,12", "float,4,12,bias=3"}}) {
    for (const char* kind : {"never", "once", "for a while", "all"}) {
      const auto is = [&](const char* word) { return std::string(kind) == word; };
      Problem p{kRows,
                kTaps,
                kColumns,
                std::vector<float>(kRows * kTaps),
                std::vector<float>(kTaps * kColumns),
                {}};
      for (float& x : p.a) x = small(generator);
      for (float& x : p.b) x = small(generator);
      for (std::size_t i = 0; i < 3 && !is("never"); ++i) {
        const std::size_t row = generator() % kRows, from = generator() % (kTaps - 40);
        for (std::size_t k = from; k < (is("once") ? from + 40 : kTaps); ++k) {
          const float w = 0.875F * (is("for a while") && k >= from + 40 ? -1 : 1);
          p.a[row * kTaps + k] = i % 2 == 0 ? w : -w;
          p.b[k * kColumns + generator() % kColumns] = 1;
          p.b[k * kColumns + 7 * i] = 1;
        }
      }
      if (is("all")) {
        for (float& x : p.a) x = std::abs(x);
        std::fill(p.b.begin(), p.b.end(), 0.5F);
      }
      const Arithmetic arithmetic = arithmetic_of(product, accumulator, "step");
      const std::vector<float> wanted = compute_reference(arithmetic, p, false);
      for (const SimdTarget& target : simd_targets()) {
        const ScopedSimdTarget scope(target);
        SumPlan plan;
        const std::vector<float> found = compute(arithmetic, p, false, &plan);
        EXPECT_EQ(difference(found, wanted), "")
            << target.name << ", " << product << " / " << accumulator << ", " << kind << ", "
            << to_string(plan.kernel);
        EXPECT_TRUE(plan.clamps_sums) << accumulator;
      }
      const Arithmetic without_limits = arithmetic_of(product, wide, "step");
      EXPECT_EQ(difference(compute_reference(without_limits, p, false), wanted) == "", is("never"))
          << accumulator << ", " << kind;
    }
  }
}

// A product on the middle between two values of the accumulator, and a sum too small for the lanes:
// it decides all the same.
TEST(SumsOfProducts, RoundOnceWhereProductsHaveMoreBitsThanTheAccumulator) {
  struct Case {
    const char *product, *accumulator;
    float tiny, middle, wanted;
  };
  for (const Case& c : {Case{"float,8,23", "bf16", 0x1p-60f, 1 + 0x1p-8f, 1 + 0x1p-7f},
                        Case{"float,8,23", "bf16", -0x1p-60f, 1 + 3 * 0x1p-8f, 1 + 0x1p-7f},
                        Case{"fp16", "float,5,2", 0x1p-16f, 36864, 40960},
                        Case{"none", "bf16", 0x1p-60f, 1 + 0x1p-8f, 1 + 0x1p-7f}}) {
    const Problem p{1, 2, 1, {c.tiny, c.middle}, {1, 1}, {0}};
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scope(target);
      EXPECT_EQ(compute(arithmetic_of(c.product, c.accumulator, "step"), p, false)[0], c.wanted)
          << c.product << " / " << c.accumulator << " on " << target.name;
    }
  }
}

// posit,8 has steps of 1/8 above 1, from 2^12 on powers of two alone, and last 2^16, 2^18, 2^20 and
// 2^24, whose borders are their geometric means.
TEST(SumsOfProducts, RoundToPositsOnceAndNeverToZero) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  struct Case {
    const char *product, *accumulator, *mode;
    std::vector<float> terms;
    float wanted;
  };
  for (const Case& c : {
           Case{"none", "posit,8", "once", {1, 0x1p-4f}, 1},  // ties to even strings
           {"none", "posit,8", "once", {1.125, 0x1p-4f}, 1.25},
           {"none", "posit,8", "once", {0x1p14f, 0x1p13f}, 0x1p14f},
           {"none", "posit,8", "once", {0x1p17f}, 0x1p16f},
           {"none", "posit,8", "once", {0x1p19f}, 0x1p20f},
           {"none", "posit,8", "once", {0x1p22f}, 0x1p20f},
           {"none", "posit,8", "once", {-0x1p-22f}, -0x1p-20f},
           {"none", "posit,8", "once", {1, 0x1p-4f, 0x1p-90f}, 1.125},  // just beyond them
           {"none", "posit,8", "once", {0x1p17f, 0x1p-90f}, 0x1p18f},
           {"none", "posit,8", "once", {0x1p22f, 0x1p-90f}, 0x1p24f},
           {"none", "posit,8", "once", {0x1p22f, -0x1p-90f}, 0x1p20f},
           {"none", "posit,8", "once", {-0x1p22f, -0x1p-90f}, -0x1p24f},
           {"none", "posit,8", "step", {0x1p22f, 0x1p22f}, 0x1p24f},   // 2^20 + 2^22
           {"none", "posit,8", "step", {0x1p-90f, 0x1p22f}, 0x1p24f},  // 2^-24 + 2^22
           {"none", "posit,8", "chunk:2", {1, 0x1p-4f, 0x1p-4f}, 1},
           {"none", "posit,8", "once", {1, 0x1p-4f, 0x1p-4f}, 1.125},
           {"posit,8", "none", "step", {1.0625, 1}, 2},
           {"posit,8", "none", "step", {0x1p-90f, 0x1p-90f}, 0x1p-23f},
           {"none", "posit,8", "once", {0x1p-90f}, 0x1p-24f},
           {"none", "posit,8", "once", {-0x1p-90f}, -0x1p-24f},
           {"none", "posit,8", "once", {0x1p-90f, -0x1p-90f}, 0},
           {"none", "posit,8", "fused", {-0.0f}, 0},
           {"none", "posit,8", "once", {0x1p120f, 0x1p120f}, 0x1p24f},
           {"none", "posit,8", "step", {kInfinity, 1}, NAN},
           {"posit,8", "none", "step", {-kInfinity, 1}, NAN},
           {"none", "posit,8", "once", {NAN, 1}, NAN},
           {"none", "posit,32", "step", {1, 0x1p-24f, 0x1p-27f}, 1 + 0x1p-23f},
           {"none", "posit,32", "once", {1, 0x1p-24f, 0x1p-29f}, 1},  // 1 + 2^-24, then a float32
       }) {
    const Problem p{1,       static_cast<std::int64_t>(c.terms.size()), 1,
                    c.terms, std::vector<float>(c.terms.size(), 1.0f),  {}};
    const Arithmetic arithmetic = arithmetic_of(c.product, c.accumulator, c.mode);
    const auto expect_wanted = [&](float y, const std::string& where) {
      const float wanted =
          std::isnan(c.wanted) ? std::numeric_limits<float>::quiet_NaN() : c.wanted;
      EXPECT_SAME_BITS(y, wanted) << c.product << " / " << c.accumulator << " / " << c.mode << ", "
                                  << c.terms[0] << " ...: " << where;
    };
    expect_wanted(compute_reference(arithmetic, p, false)[0], "reference");
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scope(target);
      expect_wanted(compute(arithmetic, p, false)[0], target.name);
    }
  }
}

TEST(SumsOfProducts, RefuseFormatsThatDoNotRoundToAGrid) {
  for (const char* spec :
       {"sparse,0.5", "binary", "ternary", "nearest,54,0", "nearest,53,0,unsigned"}) {
    EXPECT_THROW(arithmetic_of(spec, "nearest,8,4", "step"), Error) << spec;
    EXPECT_THROW(arithmetic_of("nearest,8,4", spec, "step"), Error) << spec;
  }
}

TEST(Convolution, RefusesShapesThatMakeNoSense) {
  Convolution good;
  good.input = {4};
  good.kernel = {3};
  good.stride = good.dilation = {1};
  good.padding_begin = good.padding_end = {0};
  const std::vector<float> x(4), w(3);
  std::vector<float> y(2);
  const auto run = [&](const Convolution& c) {
    convolve<float>(Arithmetic{}, {}, c, x.data(), w.data(), nullptr, y.data());
  };
  run(good);
  for (const auto& spoil : std::vector<std::function<void(Convolution&)>>{
           [](Convolution& c) { c.kernel = {5}; }, [](Convolution& c) { c.stride = {0}; },
           [](Convolution& c) { c.padding_begin = {-1}; },
           [](Convolution& c) {
             c.dilation = {1, 1};
           },
           [](Convolution& c) { c.groups = 2; }, [](Convolution& c) { c.padding_end = {}; }}) {
    Convolution bad = good;
    spoil(bad);
    EXPECT_THROW(run(bad), Error);
    EXPECT_THROW(bad.output(), Error);
  }
}

}  // namespace
}  // namespace tensorquant
