// What sums say of themselves, in a RangeReport and by SumsOfProducts::outside, does not depend on
// the kernel that their numbers would allow.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/simd_target.h"
#include "tests/difference.h"
#include "tests/matrix_sums.h"

namespace tensorquant {
namespace {

constexpr const char* kModes[] = {"step", "fused", "chunk:2", "once", "align:2:13"};

struct Look {
  std::vector<bool> outside;
  RangeReport report;
};

// Of 2 lines of x and 4 of w, all of whose numbers are these, and a bias of 1. All marks are set
// before.
Look look(const std::string& accumulator, const std::string& mode, std::int64_t taps, float x,
          float w, bool has_bias) {
  constexpr std::int64_t kBatch = 2, kOutputs = 4;
  const Arithmetic arithmetic =
      make_arithmetic(*make_quantizer("none"), *make_quantizer(accumulator), make_accumulate(mode));
  const std::vector<float> data(static_cast<std::size_t>(kBatch * taps), x);
  const std::vector<float> weights(static_cast<std::size_t>(kOutputs * taps), w);
  const std::vector<float> bias(kOutputs, 1.0F);
  std::vector<float> y(kBatch * kOutputs);
  const auto outside = std::make_unique<bool[]>(y.size());
  std::fill_n(outside.get(), y.size(), true);
  Look result;
  linear<float>(arithmetic, {}, kBatch, taps, kOutputs, data.data(), weights.data(),
                has_bias ? bias.data() : nullptr, y.data(), &result.report, outside.get());
  result.outside.assign(outside.get(), outside.get() + y.size());
  return result;
}

TEST(LookedAtSums, AreMarkedAlsoWhereNoneOfThemCanBeOutside) {
  for (const char* accumulator : {"even,16,8", "float,8,23", "none"}) {
    for (const char* mode : kModes) {
      for (const std::int64_t taps : {0, 1, 3}) {
        for (const bool has_bias : {false, true}) {
          EXPECT_EQ(look(accumulator, mode, taps, 1, 1, has_bias).outside,
                    std::vector<bool>(8, false))
              << accumulator << ", " << mode << ", " << taps << (has_bias ? ", bias" : "");
        }
      }
    }
  }
}

TEST(LookedAtSums, AreMarkedWhereTheyAreOutside) {
  for (const char* mode : kModes) {
    // 3 of 50 are more than the 127.996 of the format, 2 of 50 and 1 are not.
    EXPECT_EQ(look("even,16,8", mode, 3, 50, 1, false).outside, std::vector<bool>(8, true)) << mode;
    EXPECT_EQ(look("even,16,8", mode, 2, 50, 1, true).outside, std::vector<bool>(8, false)) << mode;
  }
}

TEST(LookedAtSums, AreCountedWhateverTheirNumbersAre) {
  // Of 8 outputs. Those of each step or chunk, and one for the bias.
  const auto expected = [](const std::string& mode, std::size_t taps) -> std::size_t {
    if (mode == "step" || mode == "fused") return taps;
    return mode == "chunk:2" || mode == "align:2:13" ? (taps + 1) / 2 : taps == 0 ? 0 : 1;
  };
  for (const char* accumulator : {"even,16,8", "float,8,23", "none"}) {
    for (const char* mode : kModes) {
      for (const std::int64_t taps : {0, 1, 3}) {
        for (const float x : {1.0F, 0x1.8p-3F, 0x1.fffffep100F}) {
          const std::size_t count = 8 * expected(mode, static_cast<std::size_t>(taps));
          const auto found = look(accumulator, mode, taps, x, 0x1.234568p-40F, false).report.sums;
          const auto with_bias =
              look(accumulator, mode, taps, x, 0x1.234568p-40F, true).report.sums;
          EXPECT_EQ(found, count) << accumulator << ", " << mode << ", " << taps << ", " << x;
          EXPECT_EQ(with_bias, count + 8) << accumulator << ", " << mode << ", " << taps;
          EXPECT_EQ(look(accumulator, mode, taps, x, 1, false).report.sums, count) << mode;
        }
      }
    }
  }
}

// Factors of some kind, and sums of them that say all that they can.
enum class Kind { few_bits, any_bits, large, small, with_infinities };
constexpr Kind kKinds[] = {Kind::few_bits, Kind::any_bits, Kind::large, Kind::small,
                           Kind::with_infinities};

std::vector<float> factors(std::size_t count, Kind kind, std::mt19937& generator) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& value : x) {
    value = normal(generator);
    if (kind == Kind::few_bits) value = std::round(2 * value);
    if (kind == Kind::large) value *= 30;
    if (kind == Kind::small) value *= 0.1F;
    if (kind == Kind::with_infinities && generator() % 8 == 0) {
      value = std::vector<float>{kInfinity, -kInfinity, NAN, 0}[generator() % 4];
    }
  }
  return x;
}

struct LookedAtProblem {
  std::int64_t rows, taps, columns;
  std::vector<float> a, b, bias;
  bool bias_is_of_rows;
};

LookedAtProblem looked_at_problem(std::int64_t rows, std::int64_t taps, std::int64_t columns,
                                  Kind a, Kind b, Kind bias, std::mt19937& generator) {
  const bool is_of_rows = generator() % 2 == 0;
  const auto number = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  return {rows,
          taps,
          columns,
          factors(number(rows * taps), a, generator),
          factors(number(taps * columns), b, generator),
          factors(number(is_of_rows ? rows : columns), bias, generator),
          is_of_rows};
}

struct Found {
  std::vector<float> y;
  RangeReport report;
  std::vector<bool> outside;
  SumPlan plan;
};

enum class What { report, marks, both };

template <class Run>
Found look_at(const LookedAtProblem& p, bool has_bias, What what, const Run& run) {
  const auto size = static_cast<std::size_t>(p.rows * p.columns);
  Found found{std::vector<float>(size), {}, {}, {}};
  const auto outside = std::make_unique<bool[]>(size);
  SumsOfProducts<float> sums = matrix_sums(p.rows, p.taps, p.columns, p.a, p.b, found.y.data());
  if (has_bias) (p.bias_is_of_rows ? sums.row_bias : sums.column_bias) = p.bias.data();
  if (what != What::report) sums.outside = outside.get();
  found.plan = run(sums, what == What::marks ? nullptr : &found.report);
  found.outside.assign(outside.get(), outside.get() + size);
  return found;
}

Found look_at_reference(const Arithmetic& arithmetic, const LookedAtProblem& p, bool has_bias,
                        What what = What::both) {
  return look_at(p, has_bias, what, [&](const SumsOfProducts<float>& sums, RangeReport* report) {
    sums_of_products_reference(arithmetic, {7, 1, 2, 3}, sums, report);
    return SumPlan{};
  });
}
Found look_at_fast(const Arithmetic& arithmetic, const LookedAtProblem& p, bool has_bias,
                   What what = What::both) {
  return look_at(p, has_bias, what, [&](const SumsOfProducts<float>& sums, RangeReport* report) {
    return sums_of_products(arithmetic, {7, 1, 2, 3}, sums, report);
  });
}

std::string text(const RangeReport& r) {
  return std::to_string(r.clamped_products) + " of " + std::to_string(r.products) +
         " products, up to " + hex(r.largest_product) + "; " + std::to_string(r.clamped_sums) +
         " of " + std::to_string(r.sums) + " sums, " + hex(r.lowest_sum + 0.0) + " to " +
         hex(r.highest_sum + 0.0);
}

// All bits of the results, all numbers of the report and all marks.
void expect_all_equal(const Found& found, const Found& wanted, const std::string& where) {
  EXPECT_EQ(difference(found.y, wanted.y), "") << where;
  EXPECT_EQ(text(found.report), text(wanted.report)) << where;
  EXPECT_TRUE(found.outside == wanted.outside) << where;
}

constexpr const char* kLookedAtProducts[] = {"none",
                                             "nearest,8,4",
                                             "even,8,4",
                                             "zero,12,6",
                                             "nearest,16,8",
                                             "even,16,8",
                                             "down,16,8",
                                             "even,8,4,unsigned",
                                             "nearest,32,20",
                                             "even,16,8,overflow=wrap",
                                             "fp16",
                                             "bf16",
                                             "float,4,3",
                                             "float,4,3,overflow=saturate",
                                             "float,5,2,rounding=stochastic",
                                             "logarithmic",
                                             "posit,8",
                                             "p3109,8,3",
                                             "stochastic,16,8"};
constexpr const char* kLookedAtAccumulators[] = {"none",
                                                 "nearest,8,4",
                                                 "even,12,4",
                                                 "nearest,16,8",
                                                 "even,16,8",
                                                 "even,20,10",
                                                 "even,32,16",
                                                 "nearest,10,2",
                                                 "zero,16,6",
                                                 "even,12,4,unsigned",
                                                 "nearest,10,4,overflow=symmetric",
                                                 "nearest,16,8,overflow=wrap",
                                                 "fp16",
                                                 "bf16",
                                                 "float,4,3",
                                                 "float,4,3,overflow=saturate",
                                                 "float,5,2,overflow=saturate",
                                                 "float,8,13,rounding=zero",
                                                 "logarithmic",
                                                 "posit,16",
                                                 "stochastic,20,6"};

TEST(LookedAtSums, AreThoseOfTheReferenceOnEveryTarget) {
  constexpr std::int64_t kRows[] = {1, 2, 5, 8, 15}, kTaps[] = {0, 1, 2, 9, 21};
  constexpr std::int64_t kColumns[] = {1, 3, 16, 33, 70};
  std::mt19937 generator(5);
  std::map<SumKernel, std::size_t> hits;
  for (const char* product : kLookedAtProducts) {
    for (const char* accumulator : kLookedAtAccumulators) {
      for (const char* mode : kModes) {
        const Arithmetic arithmetic = make_arithmetic(
            *make_quantizer(product), *make_quantizer(accumulator), make_accumulate(mode));
        for (int i = 0; i < 2; ++i) {
          const auto pick = [&](const auto& list) { return list[generator() % std::size(list)]; };
          // Most have finite factors.
          const Kind a = kKinds[generator() % 4], b = kKinds[generator() % (i == 0 ? 5 : 4)];
          const LookedAtProblem p = looked_at_problem(pick(kRows), pick(kTaps), pick(kColumns), a,
                                                      b, pick(kKinds), generator);
          const bool has_bias = generator() % 2 == 0;
          const What what = std::vector{What::report, What::marks, What::both}[generator() % 3];
          const Found wanted = look_at_reference(arithmetic, p, has_bias, what);
          for (const SimdTarget& target : simd_targets()) {
            const ScopedSimdTarget scope(target);
            const Found found = look_at_fast(arithmetic, p, has_bias, what);
            ++hits[found.plan.kernel];
            expect_all_equal(found, wanted,
                             target.name + ", " + product + " / " + accumulator + " / " + mode +
                                 ", " + std::to_string(p.rows) + " x " + std::to_string(p.taps) +
                                 " x " + std::to_string(p.columns) +
                                 (has_bias ? " + bias, " : ", ") + to_string(found.plan.kernel) +
                                 " (" + found.plan.reason + ")");
            if (HasFailure()) return;
          }
        }
      }
    }
  }
  for (const SumKernel kernel :
       {SumKernel::reference, SumKernel::tiles, SumKernel::exact, SumKernel::fixed_int,
        SumKernel::fixed_float, SumKernel::fixed_double, SumKernel::minifloat}) {
    EXPECT_GT(hits[kernel], 4 * simd_targets().size()) << to_string(kernel);
    RecordProperty(to_string(kernel), static_cast<int>(hits[kernel]));
  }
}

TEST(LookedAtSums, DoNotDependOnTheNumberOfThreads) {
  std::mt19937 generator(6);
  for (const char* product : {"nearest,16,8", "even,8,4", "fp16", "float,4,3", "stochastic,16,8"}) {
    for (const char* accumulator : {"nearest,16,8", "fp16", "float,4,3"}) {
      const Arithmetic arithmetic =
          make_arithmetic(*make_quantizer(product), *make_quantizer(accumulator), {});
      const LookedAtProblem p =
          looked_at_problem(67, 60, 530, Kind::any_bits, Kind::large, Kind::any_bits, generator);
      set_num_threads(1);
      const Found wanted = look_at_fast(arithmetic, p, true);
      for (const int count : {2, 3, 7}) {
        set_num_threads(count);
        expect_all_equal(look_at_fast(arithmetic, p, true), wanted,
                         std::string(product) + " / " + accumulator);
      }
    }
  }
  set_num_threads(0);
}

}  // namespace
}  // namespace tensorquant
