#include "tensorquant/calibration/entropy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tensorquant/base/error.h"
#include "tensorquant/calibration/test_values.h"

namespace tensorquant {
namespace {

constexpr std::size_t kBins = EqualBins::kBins;

EqualBins bins_of(const std::vector<float>& values, float amax) {
  EqualBins bins(amax);
  bins.add(std::span<const float>(values));
  return bins;
}

float largest_magnitude(const std::vector<float>& values) {
  float amax = 0;
  for (const float x : values) amax = std::max(amax, std::abs(x));
  return amax;
}

// The definition again, with P and Q written out, in long double.
float amax_of(const std::vector<float>& values, std::size_t levels) {
  const float amax = largest_magnitude(values);
  std::vector<long double> bins(kBins);
  for (const float x : values) {
    const double bin = std::floor(std::abs(double{x}) * 2048 / amax);
    bins[static_cast<std::size_t>(std::min(bin, 2047.0))] += 1;
  }
  bins[0] = bins[1];
  std::size_t best = 0;
  long double least = HUGE_VALL;
  for (std::size_t i = std::max<std::size_t>(levels, 128); i <= kBins; ++i) {
    std::vector<long double> p(bins.begin(), bins.begin() + static_cast<std::ptrdiff_t>(i)), q(i);
    std::vector<long double> merged(levels), filled(levels);
    for (std::size_t b = i; b < kBins; ++b) p[i - 1] += bins[b];
    for (std::size_t b = 0; b < i; ++b) {
      merged[b * levels / i] += bins[b];
      filled[b * levels / i] += p[b] > 0 ? 1 : 0;
    }
    for (std::size_t b = 0; b < i; ++b) {
      if (p[b] > 0) q[b] = merged[b * levels / i] / filled[b * levels / i];
    }
    const long double p_sum = std::accumulate(p.begin(), p.end(), 0.0L);
    const long double q_sum = std::accumulate(q.begin(), q.end(), 0.0L);
    long double divergence = 0;
    for (std::size_t b = 0; b < i; ++b) {
      if (p[b] == 0) continue;
      divergence += q[b] == 0 ? HUGE_VALL : p[b] / p_sum * std::log(p[b] / p_sum * q_sum / q[b]);
    }
    if (divergence <= least) {
      least = divergence;
      best = i;
    }
  }
  return static_cast<float>(double{amax} * static_cast<double>(best) / 2048);
}

TEST(EqualBins, CountMagnitudesOfFiniteNumbers) {
  const EqualBins bins =
      bins_of({0, -0.0f, 1, -1, 0.5f, 0x1p-11f, -0x1.fffffep-12f, NAN, INFINITY, 7}, 1);
  std::vector<std::uint64_t> wanted(kBins);
  wanted[0] = 3;     // two zeros and what is just below 1 / 2048
  wanted[1] = 1;     // 1 / 2048
  wanted[1024] = 1;  // 0.5
  wanted[2047] = 3;  // the ends, and what is beyond
  EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), bins.counts().begin()));
  EXPECT_EQ(bins.total(), 8u);
}

TEST(EqualBins, AreAFunctionOfTheNumbers) {
  expect_a_function_of_the_numbers(EqualBins(3.1f));
  expect_a_function_of_the_numbers(EqualBins(0));
  expect_a_function_of_the_numbers(EqualBins(std::numeric_limits<float>::denorm_min()));
  expect_a_function_of_the_numbers(EqualBins(std::numeric_limits<float>::max()));
}

TEST(EqualBins, AreMergedWithThoseOfTheSameAmaxAlone) {
  EqualBins bins = bins_of({1}, 2);
  EXPECT_THROW(bins.merge(EqualBins(3)), Error);
  EXPECT_EQ(bins.total(), 1u);
  EXPECT_THROW(EqualBins{-1.0f}, Error);
  EXPECT_THROW(EqualBins{INFINITY}, Error);
  EXPECT_THROW(EqualBins{NAN}, Error);
}

TEST(EntropyAmax, DivergesLeast) {
  std::vector<float> values = random_values<float>(20'000, 5);
  for (const float outlier : {0.0f, 200.0f}) {
    values.push_back(outlier);
    for (const std::size_t levels : {8, 128, 300}) {
      EXPECT_SAME_BITS(entropy_amax(bins_of(values, largest_magnitude(values)), levels),
                       amax_of(values, levels))
          << levels << " levels, " << outlier;
    }
  }
}

TEST(EntropyAmax, DoesNotDependOnZeros) {
  std::vector<float> values = random_values<float>(20'000, 5);
  const float amax = largest_magnitude(values);
  const float without = entropy_amax(bins_of(values, amax), 128);
  values.insert(values.end(), 100'000, 0.0f);
  EXPECT_SAME_BITS(entropy_amax(bins_of(values, amax), 128), without);
  EXPECT_GT(without, amax * 128 / 2048);  // which the narrowest range is
}

TEST(EntropyAmax, IsAllWhereNothingCanBeCut) {
  for (const float x :
       {0.0f, std::numeric_limits<float>::denorm_min(), 1.0f, std::numeric_limits<float>::max()}) {
    EXPECT_SAME_BITS(entropy_amax(bins_of({x, -x}, x), 128), x);
    EXPECT_SAME_BITS(entropy_amax(EqualBins(x), 128), x);  // no numbers
  }
  std::vector<float> flat;
  for (int i = 0; i < 2048; ++i) flat.push_back((static_cast<float>(i) + 0.5f) / 2048);
  EXPECT_SAME_BITS(entropy_amax(bins_of(flat, 1), 2048), 1.0f);
}

TEST(EntropyLevels, AreTheValuesThatAreNotNegative) {
  const auto levels = [](const char* spec) { return entropy_levels(*make_quantizer(spec)); };
  EXPECT_EQ(levels("even,8,0"), 128u);
  EXPECT_EQ(levels("even,8,0,overflow=symmetric"), 128u);
  EXPECT_EQ(levels("even,8,4,unsigned"), 256u);
  EXPECT_EQ(levels("even,12,0"), 2048u);
  EXPECT_EQ(levels("even,11,0,unsigned"), 2048u);
  EXPECT_EQ(levels("e2m1"), 8u);
  EXPECT_EQ(levels("e4m3fn"), 127u);
  EXPECT_EQ(levels("ternary,1"), 2u);
}

TEST(EntropyLevels, AreNoMoreThanTheBins) {
  const auto fault = [](const char* spec) -> std::string {
    try {
      entropy_levels(*make_quantizer(spec));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(fault("even,13,0"),
            "calibration method 'entropy' has 2048 bins, too few for the values of quantizer "
            "'even,13,0'");
  for (const char* spec : {"even,12,0,unsigned", "even,64,0", "fp16", "none"}) {
    EXPECT_NE(fault(spec), "") << spec;
  }
  EXPECT_THROW(entropy_amax(EqualBins(1), 0), Error);
  EXPECT_THROW(entropy_amax(EqualBins(1), 2049), Error);
}

}  // namespace
}  // namespace tensorquant
