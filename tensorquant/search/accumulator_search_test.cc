#include "tensorquant/search/accumulator_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tensorquant {
namespace {

using testing::ElementsAre;

TEST(AccumulatorSearch, TakesBitsInTheOrderGivenAsLongAsTheMarginHolds) {
  // A layer below its need loses 1 % a bit; the margin is 2 %.
  const std::vector<int> needs = {12, 9, 14};
  const MeasureAccumulators measure = [&](std::span<const int> bits) {
    Measurement measured;
    for (std::size_t i = 0; i < bits.size(); ++i)
      measured.loss += 0.01 * std::max(0, needs[i] - bits[i]);
    return measured;
  };
  const std::vector<std::size_t> order = {2, 0, 1};
  // All of the margin goes to the first layer.
  EXPECT_THAT(narrow_accumulators({20, 20, 20}, order, measure, 0.021).bits,
              ElementsAre(12, 9, 12));
  EXPECT_THAT(narrow_accumulators({20, 20, 20}, order, measure, 0).bits, ElementsAre(12, 9, 14));
  // What does not hold to begin with stays.
  EXPECT_THAT(narrow_accumulators({20, 20, 10}, order, measure, 0.021).bits,
              ElementsAre(20, 20, 10));
}

TEST(AccumulatorSearch, CountsTheStandardErrorAndNoLogitsThatAreNotFinite) {
  const MeasureAccumulators measure = [](std::span<const int> bits) {
    return Measurement{bits[0] < 4 ? std::nan("") : 0, 0, bits[0] < 6 ? 0.03 : 0};
  };
  const std::vector<std::size_t> order = {0};
  EXPECT_THAT(narrow_accumulators({8}, order, measure, 0.02).bits, ElementsAre(6));
  EXPECT_THAT(narrow_accumulators({8}, order, measure, 0.04).bits, ElementsAre(4));
  const MeasureAccumulators nothing = [](std::span<const int>) { return Measurement{}; };
  EXPECT_THAT(narrow_accumulators({3}, order, nothing, 0).bits, ElementsAre(1));
}

// Against all maps of small nets whose loss grows as bits are taken: none that holds the margin has
// less in one layer and as much in those that came before it.
TEST(AccumulatorSearch, IsTheFirstOfAllMapsByTheOrder) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<std::vector<double>> losses(3);  // of each layer and bits
    for (auto& of_layer : losses) {
      double loss = 0;
      for (int bits = 6; bits >= 0; --bits) {
        of_layer.insert(of_layer.begin(), loss);
        loss += static_cast<double>(random() % 8);
      }
    }
    const auto loss_of = [&](std::span<const int> bits) {
      double sum = 0;
      for (std::size_t i = 0; i < 3; ++i) sum += losses[i][static_cast<std::size_t>(bits[i])];
      return sum;
    };
    std::vector<int> best = {6, 6, 6};
    for (int a = 1; a <= 6; ++a) {
      for (int b = 1; b <= 6; ++b) {
        for (int c = 1; c <= 6; ++c) {
          const std::vector<int> bits = {a, b, c};
          if (loss_of(bits) <= 10 && bits < best) best = bits;
        }
      }
    }
    const std::vector<std::size_t> order = {0, 1, 2};
    const auto found = narrow_accumulators(
        {6, 6, 6}, order,
        [&](auto bits) {
          return Measurement{0, loss_of(bits), 0};
        },
        10);
    EXPECT_EQ(found.bits, best);
    EXPECT_EQ(found.measured.loss, loss_of(best));
  }
}

}  // namespace
}  // namespace tensorquant
