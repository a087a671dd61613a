#include "tensorquant/measure/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant::measure {
namespace {

constexpr std::size_t kElements = 5000;

TEST(MeasureElementwise, PutsEachContenderBesideTheCopies) {
  const std::vector<std::string> quantizers = {"nearest,8,4", "ternary", "float,4,3"};
  const auto rows =
      measure_elementwise(our_contenders<float>(quantizers, kElements), kElements, /*threads=*/1,
                          /*rounds=*/1);
  ASSERT_EQ(rows.size(), 2 + 2 * quantizers.size());
  for (const Measurement& row : rows) {
    EXPECT_EQ(row.elements, kElements);
    EXPECT_GT(row.nanoseconds, 0) << row.name;
    EXPECT_GT(row.over_memcpy, 0) << row.name;
    if (row.name == kOurs) {
      EXPECT_EQ(row.over_ours, 1);
    }
  }
}

TEST(MeasureElementwise, MeasuresFloat64) {
  for (const Measurement& row : measure_elementwise(
           our_contenders<double>({"stochastic,32,20"}, kElements), kElements, 1, 1)) {
    EXPECT_EQ(row.type, "float64");
    EXPECT_DOUBLE_EQ(row.gigabytes_per_second * row.nanoseconds, 16) << row.name;
  }
}

TEST(MeasureElementwise, MeasuresWhatAsksForAxesAlongBoth) {
  const std::vector<std::string> quantizers = {"int,8,scale=max", "mxfp4",
                                               "int,8,per=channel,scale=max", "nvfp4"};
  std::vector<std::string> rows;
  for (const Measurement& row :
       measure_elementwise(our_contenders<float>(quantizers, 0), kElements, 1, 1)) {
    if (row.name == kOurs) rows.push_back(row.quantizer + " " + std::to_string(row.axis));
  }
  EXPECT_EQ(rows, (std::vector<std::string>{
                      "int,8,scale=max 1", "mxfp4 1", "mxfp4 0", "int,8,per=channel,scale=max 1",
                      "int,8,per=channel,scale=max 0", "nvfp4 1", "nvfp4 0"}));
}

// The same numbers in blocks along the other axis.
TEST(MeasureElementwise, RefusesAContenderOfTheOtherAxis) {
  std::vector<Contender<float>> contenders = our_contenders<float>({"mxfp4"}, 0);
  for (Contender<float>& contender : contenders) contender.axis = 1 - contender.axis;
  EXPECT_THROW(measure_elementwise(contenders, kElements, 1, 1), Error);
}

TEST(MeasureElementwise, LeavesOutWhatIsTooSlowForTheSize) {
  const auto rows =
      measure_elementwise(our_contenders<float>({"none"}, kElements - 1), kElements, 1, 1);
  EXPECT_TRUE(std::none_of(rows.begin(), rows.end(),
                           [](const Measurement& row) { return row.name == kReference; }));
}

TEST(MeasureElementwise, RefusesAContenderThatComputesSomethingElse) {
  const auto copy = [](std::span<const float> in, std::span<float> out) {
    std::copy(in.begin(), in.end(), out.begin());
  };
  const std::vector contenders = {Contender<float>{"a copy", "nearest,8,4", copy}};
  try {
    measure_elementwise(contenders, kElements, 1, 1);
    FAIL() << "a copy passed for nearest,8,4";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("a copy nearest,8,4, element "), std::string::npos)
        << error.what();
  }
}

TEST(MeasureElementwise, TakesResultsThatAreOneOfSeveral) {
  const auto truncates = [](std::span<const float> in, std::span<float> out) {
    const auto zero = our_contenders<float>({"zero,8,4"}, 0);
    zero[0].run(in, out);
  };
  const std::vector contenders = {
      Contender<float>{"truncation", "nearest,8,4", truncates, {"down,8,4", "up,8,4"}}};
  EXPECT_EQ(measure_elementwise(contenders, kElements, 1, 1).size(), 3u);
}

}  // namespace
}  // namespace tensorquant::measure
