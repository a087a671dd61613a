#include "tensorquant/calibration/summary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/calibration/test_values.h"

namespace tensorquant {
namespace {

TEST(Summary, HasTheEndsOfTheFiniteNumbersAndHowManyThereAre) {
  const std::vector<float> values = many_values();
  const std::vector<float> finite = finite_values();
  Summary summary;
  summary.add(std::span<const float>(values));
  EXPECT_EQ(summary.finite, finite.size());
  EXPECT_EQ(summary.nan, static_cast<std::uint64_t>(std::count_if(values.begin(), values.end(),
                                                                  [](float x) { return x != x; })));
  EXPECT_EQ(summary.finite + summary.nan + summary.infinite, values.size());
  EXPECT_GT(summary.infinite, 1u);
  EXPECT_SAME_BITS(summary.lowest, *std::min_element(finite.begin(), finite.end()));
  EXPECT_SAME_BITS(summary.highest, *std::max_element(finite.begin(), finite.end()));
  EXPECT_SAME_BITS(summary.amax(), std::max(-summary.lowest, summary.highest));
}

TEST(Summary, IsAFunctionOfTheNumbers) { expect_a_function_of_the_numbers(Summary()); }

TEST(Summary, KnowsSubnormalsAndNoNegativeZero) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  Summary summary;
  summary.add(std::span<const float>(std::vector<float>{-0.0f}));
  EXPECT_SAME_BITS(summary.lowest, 0.0f);
  EXPECT_SAME_BITS(summary.highest, 0.0f);
  EXPECT_SAME_BITS(summary.amax(), 0.0f);
  summary.add(std::span<const float>(std::vector<float>{-tiny, 3 * tiny}));
  EXPECT_SAME_BITS(summary.lowest, -tiny);
  EXPECT_SAME_BITS(summary.highest, 3 * tiny);
  EXPECT_SAME_BITS(summary.amax(), 3 * tiny);
}

TEST(Summary, SeesFloat64AsFloat32WhoseLargestIsThatOfFiniteNumbers) {
  Summary summary;
  summary.add(std::span<const double>(std::vector<double>{1e300, 0.1, -1e-300, HUGE_VAL, NAN}));
  EXPECT_SAME_BITS(summary.highest, std::numeric_limits<float>::max());
  EXPECT_SAME_BITS(summary.lowest, 0.0f);
  EXPECT_EQ(summary.finite, 3u);
  EXPECT_EQ(summary.infinite, 1u);
  EXPECT_EQ(summary.nan, 1u);
}

TEST(Summary, SaysWhyThereIsNothingToCalibrateWith) {
  const auto fault = [](const std::vector<float>& values) -> std::string {
    Summary summary;
    summary.add(std::span<const float>(values));
    try {
      summary.require_finite("the output of conv1");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(fault({}), "the output of conv1 has no numbers: nothing to calibrate with");
  EXPECT_EQ(fault({NAN, INFINITY, -INFINITY}),
            "the output of conv1 has no finite number, 1 NaN and 2 infinite ones: nothing to "
            "calibrate with");
  EXPECT_EQ(fault({NAN, 0}), "");
}

}  // namespace
}  // namespace tensorquant
