#include "tensorquant/calibration/mse.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/calibration/test_values.h"

namespace tensorquant {
namespace {

Counters counters_of(const std::vector<float>& values) {
  Counters counters;
  counters.add(std::span<const float>(values));
  return counters;
}

// The definition again, number by number: middles of float32's upper bits, integers from -2^(W-1)
// to 2^(W-1) - 1 with ties to even, and the mean of all errors in long double.
float amax_of_integers(const std::vector<float>& values, int bits) {
  const float largest = std::ldexp(1.0f, bits - 1) - 1;
  float amax0 = 0;
  for (const float x : values) amax0 = std::max(amax0, std::abs(x));
  float best = 0;
  long double least = HUGE_VALL;
  for (int j = 16; j <= 128; ++j) {
    const auto amax = static_cast<float>(double{amax0} * j / 128);
    const float scale = amax / largest;
    long double sum = 0;
    for (const float x : values) {
      const float v = from_bits<float>((to_bits(x) & 0xFFFF0000) | 0x8000);
      const float q = std::min(std::max(std::nearbyint(v / scale), -largest - 1), largest);
      const long double error = static_cast<long double>(v) - scale * q;
      sum += error * error;
    }
    if (sum <= least) {
      least = sum;
      best = amax;
    }
  }
  return best;
}

TEST(MseAmax, LosesLeast) {
  std::vector<float> values = random_values<float>(20'000, 5);
  for (const float outlier : {0.0f, 30.0f, 100.0f}) {
    values.push_back(outlier);
    for (const int bits : {2, 3, 4, 6, 8}) {
      const auto element = make_quantizer("even," + std::to_string(bits) + ",0");
      EXPECT_SAME_BITS(mse_amax(counters_of(values), *element), amax_of_integers(values, bits))
          << bits << " bits, " << outlier;
    }
  }
}

// What is scaled is the element: units of its grid do not matter.
TEST(MseAmax, IsTheSameForAGridOfAnotherStep) {
  const Counters counters = counters_of(random_values<float>(10'000, 6));
  EXPECT_SAME_BITS(mse_amax(counters, *make_quantizer("even,4,0")),
                   mse_amax(counters, *make_quantizer("even,4,7")));
}

TEST(MseAmax, CutsManyAndKeepsFew) {
  std::vector<float> values = random_values<float>(10'000, 7);
  const Counters counters = counters_of(values);
  const float few = mse_amax(counters, *make_quantizer("even,2,0"));
  const float many = mse_amax(counters, *make_quantizer("even,16,0"));
  EXPECT_LT(few, many);
  EXPECT_SAME_BITS(many, counters.summary().amax());
}

TEST(MseAmax, IsDefinedForOddNumbers) {
  const auto element = make_quantizer("even,8,0");
  EXPECT_SAME_BITS(mse_amax(counters_of({}), *element), 0.0f);
  EXPECT_SAME_BITS(mse_amax(counters_of({NAN, INFINITY}), *element), 0.0f);
  EXPECT_SAME_BITS(mse_amax(counters_of({0, -0.0f, 0}), *element), 0.0f);
  for (const float x : {std::numeric_limits<float>::denorm_min(), 1e-40f, 1e-38f, 1.0f, 3e38f,
                        std::numeric_limits<float>::max()}) {
    for (const char* spec : {"even,8,0", "even,8,64", "even,8,-64", "e2m1", "bf16"}) {
      const float amax = mse_amax(counters_of({x, -x}), *make_quantizer(spec));
      EXPECT_TRUE(amax <= x && amax >= x / 8) << spec << ' ' << hex(x) << ' ' << hex(amax);
    }
  }
}

TEST(MseAmax, WantsAnElementwiseFormatWithALargestValue) {
  const auto fault = [](const char* spec) -> std::string {
    try {
      mse_largest(*make_quantizer(spec));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(fault("even,8,0"), "");
  EXPECT_EQ(fault("stochastic,8,0"),
            "calibration method 'mse' wants a format whose results depend on the number alone, "
            "unlike quantizer 'stochastic,8,0'");
  EXPECT_EQ(fault("none"),
            "calibration method 'mse' wants a format with a largest value, which quantizer 'none' "
            "has not");
  EXPECT_NE(fault("ternary"), "");
  EXPECT_NE(fault("sparse,0.1"), "");
  EXPECT_NE(fault("nearest,1,0"), "");  // -1 and 0
}

}  // namespace
}  // namespace tensorquant
