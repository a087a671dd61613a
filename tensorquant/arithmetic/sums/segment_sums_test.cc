// Aligned products and sums of two levels: the loops equal the reference.

#include "tensorquant/arithmetic/sums/segment_sums.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/arithmetic/layers/offsets.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/simd_target.h"
#include "tests/difference.h"
#include "tests/floats.h"

namespace tensorquant {
namespace {

constexpr const char* kProducts[] = {"none", "none", "none", "even,16,8", "fp16"};
constexpr const char* kAccumulators[] = {"none",
                                         "float,8,13,rounding=zero",
                                         "float,8,23,rounding=zero",
                                         "fp16",
                                         "float,5,2,overflow=saturate",
                                         "even,32,0,overflow=wrap",
                                         "even,16,0",
                                         "nearest,24,12",
                                         "nearest,40,20",
                                         "e4m3fnuz",
                                         "logarithmic",
                                         "stochastic,20,6"};
constexpr const char* kModes[] = {"align:32:13", "align:8:24", "align:4:23", "align:1:2",
                                  "align:3:50",  "align:5:64", "step",       "once",
                                  "once",        "chunk:3",    "fused"};
constexpr const char* kOuter[] = {"none",
                                  "float,8,23",
                                  "bf16",
                                  "fp16",
                                  "nearest,24,12",
                                  "even,16,2,overflow=wrap",
                                  "float,8,7,rounding=stochastic"};

template <class List>
const auto& pick(const List& list, std::mt19937& generator) {
  return list[generator() % std::size(list)];
}

// Of different kinds: what can be proved depends on their range and grid.
std::vector<float> numbers(std::size_t count, std::mt19937& generator) {
  const unsigned kind = generator() % 7;
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& value : x) {
    const int k = static_cast<int>(generator() % 256) - 128;
    switch (kind) {
      case 0:  // int8
        value = static_cast<float>(k);
        break;
      case 1:  // E4M3's subnormal and normal values
        value =
            static_cast<float>(k >> 4) * std::ldexp(1.0f, static_cast<int>(generator() % 4) - 9);
        break;
      case 2:
        value = normal(generator);
        break;
      case 3:  // that cancel
        value = std::copysign(std::ldexp(1.0f, static_cast<int>(generator() % 30) - 15),
                              normal(generator));
        break;
      case 4:
        value = normal(generator) * 0x1p60f;
        break;
      case 5:  // subnormal ones of float32 among them
        value = normal(generator) * 0x1p-140f;
        break;
      default:  // zeros of both signs
        value = generator() % 3 == 0 ? normal(generator) : std::copysign(0.0f, normal(generator));
    }
  }
  return x;
}

struct Problem {
  std::int64_t rows, taps, columns;
  std::vector<float> a, b, bias, a_scales, b_scales, y;
  SumsOfProducts<float> sums;
};

std::vector<float> some_scales(std::size_t count, std::mt19937& generator) {
  std::vector<float> scales(count);
  const bool are_powers = generator() % 2 == 0;
  std::normal_distribution<float> normal;
  for (float& s : scales) {
    s = std::ldexp(are_powers ? 1.0f : 0.5f + std::abs(normal(generator)),
                   static_cast<int>(generator() % 20) - 10);
    if (generator() % 50 == 0) s = 0;
    if (generator() % 50 == 0) s = 0x1p-127f;  // of a block of zeros in MX formats
    if (generator() % 200 == 0) s = std::numeric_limits<float>::quiet_NaN();
    if (generator() % 200 == 0) s = std::numeric_limits<float>::infinity();
  }
  return scales;
}

// A scale for each `block` numbers of a line.
std::optional<Scales<float>> by_block(std::int64_t lines, std::int64_t taps, std::int64_t block,
                                      std::vector<float>& values, std::mt19937& generator) {
  const std::int64_t blocks = taps / block + 1;
  values = some_scales(static_cast<std::size_t>(lines * blocks), generator);
  Scales<float> scales{values, multiples(lines, blocks), multiples(taps, 1)};
  for (std::int64_t& tap : scales.taps) tap /= block;
  return scales;
}

void fill(Problem& p, std::mt19937& generator) {
  constexpr std::int64_t kRows[] = {1, 2, 5, 9, 19}, kTaps[] = {0, 1, 4, 9, 33, 70};
  constexpr std::int64_t kColumns[] = {1, 3, 16, 33, 70}, kBlocks[] = {1, 4, 16, 32, 100};
  p.rows = pick(kRows, generator), p.taps = pick(kTaps, generator);
  p.columns = pick(kColumns, generator);
  p.a = numbers(static_cast<std::size_t>(p.rows * p.taps), generator);
  p.b = numbers(static_cast<std::size_t>(p.columns * p.taps), generator);
  p.bias = numbers(static_cast<std::size_t>(p.columns), generator);
  p.y.resize(static_cast<std::size_t>(p.rows * p.columns));
  p.sums.a = {p.a, multiples(p.rows, p.taps), multiples(p.taps, 1)};
  p.sums.b = {p.b, multiples(p.columns, p.taps), multiples(p.taps, 1)};
  for (Factor<float>* factor : {&p.sums.a, &p.sums.b}) {
    constexpr int kExponents[] = {-6, -14, -126, -130};
    factor->min_exponent = pick(kExponents, generator);
  }
  if (generator() % 2 == 0) {
    p.sums.a.scales = by_block(p.rows, p.taps, pick(kBlocks, generator), p.a_scales, generator);
  }
  if (generator() % 2 == 0) {
    p.sums.b.scales = by_block(p.columns, p.taps, pick(kBlocks, generator), p.b_scales, generator);
  }
  if (generator() % 2 == 0) p.sums.column_bias = p.bias.data();
  p.sums.y = p.y.data();
  p.sums.rows = multiples(p.rows, p.columns);
  p.sums.columns = multiples(p.columns, 1);
}

TEST(AlignedAndTwoLevelSums, EqualTheReferenceOnEveryTarget) {
  std::mt19937 generator(1);
  std::map<SumKernel, int> hits;
  for (int i = 0; i < 1500; ++i) {
    Problem p;
    fill(p, generator);
    const std::string product = pick(kProducts, generator), mode = pick(kModes, generator);
    const std::string accumulator = pick(kAccumulators, generator);
    std::optional<OuterSum> outer;
    if (generator() % 2 == 0) {
      constexpr std::int64_t kEvery[] = {0, 1, 7, 16, 32};
      outer = OuterSum{make_quantizer(pick(kOuter, generator)), pick(kEvery, generator)};
    }
    const Arithmetic arithmetic = make_arithmetic(
        *make_quantizer(product), *make_quantizer(accumulator), make_accumulate(mode), outer);
    const ArithmeticContext context{7, 1, 2, 3};
    sums_of_products_reference(arithmetic, context, p.sums);
    const std::vector<float> wanted = p.y;
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scope(target);
      std::fill(p.y.begin(), p.y.end(), -1.0f);
      const SumPlan plan = sums_of_products(arithmetic, context, p.sums);
      ++hits[plan.kernel];
      ASSERT_EQ(difference(p.y, wanted), "")
          << target.name << ", " << product << " / " << accumulator << " / " << mode << ", outer "
          << (outer ? outer->accumulator->spec() : "none at all") << ", " << p.rows << " x "
          << p.taps << " x " << p.columns << ", kernel " << to_string(plan.kernel) << " ("
          << plan.reason << ")";
    }
  }
  for (const SumKernel kernel :
       {SumKernel::reference, SumKernel::tiles, SumKernel::integer, SumKernel::exact,
        SumKernel::align, SumKernel::fixed_double, SumKernel::minifloat}) {
    EXPECT_GT(hits[kernel], 4 * static_cast<int>(simd_targets().size())) << to_string(kernel);
  }
}

// Segments of any length, and so of steps with less than four products.
TEST(AlignedAndTwoLevelSums, OfBytesEqualTheReferenceOnEveryTarget) {
  constexpr const char* kInner[] = {"none", "even,32,0,overflow=wrap", "fp16", "even,20,2"};
  std::mt19937 generator(3);
  int bytes = 0;
  for (int i = 0; i < 300; ++i) {
    Problem p;
    fill(p, generator);
    const int lowest = pick(std::array{-128, -128, -100, -3, 0}, generator);
    for (float& q : p.a) q = static_cast<float>(static_cast<int>(generator() % 256) - 128);
    for (float& q : p.b) q = static_cast<float>(static_cast<int>(generator() % 256) + lowest);
    if (generator() % 2 == 0) {
      std::swap(p.a, p.b);  // of one size or not: what is missing are zeros
      p.a.resize(static_cast<std::size_t>(p.rows * p.taps));
      p.b.resize(static_cast<std::size_t>(p.columns * p.taps));
      p.sums.a.data = p.a, p.sums.b.data = p.b;
    }
    const char* const mode = pick(std::array{"once", "step"}, generator);
    const Arithmetic arithmetic = make_arithmetic(
        *make_quantizer("none"), *make_quantizer(pick(kInner, generator)), make_accumulate(mode),
        OuterSum{make_quantizer(pick(kOuter, generator)),
                 pick(std::array<std::int64_t, 4>{0, 3, 16, 32}, generator)});
    const ArithmeticContext context{7, 1, 2, 3};
    sums_of_products_reference(arithmetic, context, p.sums);
    const std::vector<float> wanted = p.y;
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scope(target);
      std::fill(p.y.begin(), p.y.end(), -1.0f);
      const SumPlan plan = sums_of_products(arithmetic, context, p.sums);
      bytes += plan.reason.find("integers of 8 bits") != std::string::npos ? 1 : 0;
      ASSERT_EQ(difference(p.y, wanted), "")
          << target.name << ", " << i << ", " << p.rows << " x " << p.taps << " x " << p.columns
          << ", kernel " << to_string(plan.kernel) << " (" << plan.reason << ")";
    }
  }
  EXPECT_GT(bytes, 100);
}

// The second segment adds 2^-24 - 2^-70 to 1 + 2^-23. In float64 that is half way to 1 + 2^-22,
// which ties to even would take; the sum lies below.
TEST(AlignedAndTwoLevelSums, RoundOnceWhereADoubleIsHalfWayBetweenFloats) {
  constexpr std::size_t kColumns = 40;
  const Arithmetic arithmetic =
      make_arithmetic(*make_quantizer("none"), *make_quantizer("none"), make_accumulate("once"));
  const std::vector<float> x = {1 + 0x1p-23f, 0x1p-24f}, x_scales = {1, 1 + 0x1p-23f};
  const std::vector<float> w(2 * kColumns, 1.0f), w_scales = {1, 1 - 0x1p-23f};
  for (const SimdTarget& target : simd_targets()) {
    const ScopedSimdTarget scope(target);
    std::vector<float> y(kColumns);
    linear<float>(arithmetic, {}, 1, 2, kColumns, x.data(), w.data(), nullptr, y.data(), nullptr,
                  nullptr, {{x_scales, 1, 0}, {w_scales, 1, 0}});
    EXPECT_EQ(difference(y, std::vector<float>(kColumns, 1 + 0x1p-23f)), "") << target.name;
  }
}

// The ends of what pairs of int16 hold, by integers: two products of 2^15 - 1 fit into int32, three
// do not, and 2^15 is no int16.
TEST(IntegerSums, AreExactUpToTheEndsOfTheirIntegers) {
  constexpr std::int64_t kEnd = 32767;
  struct Case {
    std::vector<std::int64_t> x, w;
    bool fits;
  };
  const Case cases[] = {{{kEnd, kEnd}, {kEnd, kEnd}, true},
                        {{-kEnd, -kEnd}, {kEnd, kEnd}, true},
                        {{kEnd, -kEnd, 1}, {kEnd, kEnd, 1}, true},
                        {{kEnd, kEnd, kEnd}, {kEnd, kEnd, kEnd}, false},
                        {{-kEnd - 1, 1}, {-kEnd - 1, 1}, false},
                        {{127, -128, 127, -128, 3}, {-128, -128, 127, 127, -5}, true}};
  const Arithmetic arithmetic =
      make_arithmetic(*make_quantizer("none"), *make_quantizer("none"), make_accumulate("once"));
  constexpr std::int64_t kColumns = 37;
  for (const auto& [x, w, fits] : cases) {
    const auto taps = static_cast<std::int64_t>(x.size());
    std::int64_t sum = 0;
    std::vector<float> a, b;
    for (std::size_t k = 0; k < x.size(); ++k) {
      sum += x[k] * w[k];
      a.push_back(static_cast<float>(x[k]) * 0x1p-30f);
    }
    for (std::int64_t i = 0; i < kColumns; ++i) {
      for (const std::int64_t q : w) b.push_back(static_cast<float>(q) * 0x1p20f);
    }
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scope(target);
      std::vector<float> y(kColumns);
      const SumPlan plan =
          linear<float>(arithmetic, {}, 1, taps, kColumns, a.data(), b.data(), nullptr, y.data());
      EXPECT_EQ(difference(y, std::vector<float>(kColumns, static_cast<float>(sum) * 0x1p-10f)), "")
          << target.name << ", " << to_string(plan.kernel);
      if (plan.kernel == SumKernel::tiles) continue;  // without a fused multiply-add
      EXPECT_EQ(plan.kernel == SumKernel::integer, fits) << target.name << ", " << sum;
    }
  }
}

TEST(AlignedAndTwoLevelSums, DoNotDependOnTheNumberOfThreads) {
  std::mt19937 generator(2);
  const Arithmetic arithmetic =
      make_arithmetic(*make_quantizer("none"), *make_quantizer("float,8,13,rounding=zero"),
                      make_accumulate("align:32:13"), OuterSum{make_quantizer("float,8,23"), 128});
  std::vector<float> x = numbers(60 * 300, generator), w = numbers(300 * 40, generator);
  const auto compute = [&] {
    std::vector<float> y(60 * 40);
    linear<float>(arithmetic, {}, 60, 300, 40, x.data(), w.data(), nullptr, y.data());
    return y;
  };
  set_num_threads(1);
  const std::vector<float> wanted = compute();
  for (const int count : {2, 3, 7}) {
    set_num_threads(count);
    EXPECT_EQ(difference(compute(), wanted), "") << count;
  }
  set_num_threads(0);
}

// E4M3's 2^-9 is subnormal: as such its exponent is -6, by its value -9.
TEST(AlignedAndTwoLevelSums, TakeTheExponentOfASubnormalNumberFromItsFormat) {
  const auto sum = [](std::optional<int> min_exponent) {
    Arithmetic arithmetic = make_arithmetic(*make_quantizer("none"), *make_quantizer("none"),
                                            make_accumulate("align:2:2"));
    arithmetic.data_min_exponent = min_exponent;
    const float x[] = {0x1p-9f, 0x1p-9f}, w[] = {1.0f, 0x1p-1f};
    float y = 0;
    linear<float>(arithmetic, {}, 1, 2, 1, x, w, nullptr, &y);
    return y;
  };
  EXPECT_EQ(sum({}), 0x1p-9f + 0x1p-10f);  // a multiple of 2^-11 is left of both
  EXPECT_EQ(sum(-6), 0.0f);                // multiples of 2^-8 are left
  EXPECT_EQ(*smallest_normal_exponent(*make_quantizer("e4m3fn")), -6);
  EXPECT_EQ(*smallest_normal_exponent(*make_quantizer("fp16")), -14);
  EXPECT_FALSE(smallest_normal_exponent(*make_quantizer("nearest,8,4")).has_value());
}

TEST(AlignedAndTwoLevelSums, CountWhatTheInnerAccumulatorClamps) {
  const Arithmetic arithmetic =
      make_arithmetic(*make_quantizer("none"), *make_quantizer("even,5,0"), make_accumulate("step"),
                      OuterSum{make_quantizer("none"), 2});
  const float a[] = {9, 9, 9, -9}, b[] = {1, 1, 1, 1};
  float y = 0;
  RangeReport report;
  matrix_product<float>(arithmetic, {}, 1, 4, 1, a, b, nullptr, &y, &report);
  EXPECT_EQ(y, 15.0f);  // 15 of 18, then 0
  EXPECT_EQ(report.sums, 4u);
  EXPECT_EQ(report.clamped_sums, 1u);
  EXPECT_EQ(report.highest_sum, 18.0);
  EXPECT_EQ(report.lowest_sum, 0.0);
}

TEST(AlignedAndTwoLevelSums, RefuseScalesThatAreTooFew) {
  const float x[6] = {}, w[6] = {};
  float y[4];
  const std::vector<float> scales(3, 1.0f);
  const auto run = [&](const ScalesAlongK<float>& s) {
    linear<float>({}, {}, 2, 3, 2, x, w, nullptr, y, nullptr, nullptr, {s, {}});
  };
  EXPECT_NO_THROW(run({scales, 2, 1}));
  EXPECT_THROW(run({scales, 2, 2}), Error);
  EXPECT_THROW(run({scales, 0, 1}), Error);
  EXPECT_THROW(run({scales, 3, -1}), Error);
  EXPECT_NO_THROW(run({scales, 2, 0, 2}));
  EXPECT_THROW(run({scales, 2, 1, 2}), Error);
  EXPECT_THROW(run({scales, 2, 1, -1}), Error);
}

}  // namespace
}  // namespace tensorquant
