#include "tensorquant/search/logit_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

LogitMetrics compare(const std::vector<float>& before, const std::vector<float>& after,
                     const std::vector<std::int64_t>& labels) {
  return compare_logits(before, after, before.size() / labels.size(), labels);
}

TEST(LogitMetrics, DivergenceIsThatOfTheProbabilities) {
  // p0 = (1/4, 3/4) and p = (1/2, 1/2): 1/4 log(1/2) + 3/4 log(3/2); and an equal pair.
  const float three = std::log(3.F);
  const double expected = 0.25 * std::log(0.5) + 0.75 * std::log(1.5);
  EXPECT_NEAR(compare({0, three}, {7, 7}, {0}).kl, expected, 1e-7);
  EXPECT_NEAR(compare({0, three, 1, 2}, {7, 7, 1, 2}, {0, 0}).kl, expected / 2, 1e-7);
}

TEST(LogitMetrics, HugeAndEqualLogitsAreNoTrouble) {
  EXPECT_EQ(compare({1e30F, 1e30F}, {-1e30F, -1e30F}, {0}).kl, 0);
  EXPECT_EQ(compare({1000, -1000}, {1000, -1000}, {0}).kl, 0);
  EXPECT_NEAR(compare({1000, 0}, {0, 1000}, {0}).kl, 1000, 1e-9);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(compare({1, 2}, {1, -infinity}, {0}).kl));
}

TEST(LogitMetrics, LossAndItsErrorAreThoseOfCountedAnswers) {
  // Right in float alone: twice; quantized alone: once; both, neither and a flip between two wrong
  // classes.
  const std::vector<float> zero = {9, 0, 0}, one = {0, 9, 0}, two = {0, 0, 9};
  std::vector<float> before, after;
  const auto add = [&](const std::vector<float>& was, const std::vector<float>& is) {
    before.insert(before.end(), was.begin(), was.end());
    after.insert(after.end(), is.begin(), is.end());
  };
  add(zero, one);
  add(zero, two);
  add(one, zero);
  add(zero, zero);
  add(one, one);
  add(one, two);
  const LogitMetrics metrics = compare(before, after, {0, 0, 0, 0, 0, 0});
  EXPECT_EQ(metrics.flips, 4U);
  EXPECT_EQ(metrics.lost, 2U);
  EXPECT_EQ(metrics.won, 1U);
  EXPECT_EQ(metrics.correct, 2U);
  EXPECT_DOUBLE_EQ(metrics.loss(), 1.0 / 6);
  EXPECT_DOUBLE_EQ(metrics.loss_error(), std::sqrt(3 - 1.0 / 6) / 6);
  EXPECT_DOUBLE_EQ(metrics.logit_error, 4 * 162.0 / (6 * 81));
}

TEST(LogitMetrics, OfEqualLogitsTheFirstIsTheLargest) {
  const LogitMetrics metrics = compare({1, 1}, {1, 0}, {0});
  EXPECT_EQ(metrics.flips, 0U);
  EXPECT_EQ(metrics.correct, 1U);
}

TEST(LogitMetrics, NanIsTheLargestLogitWhereverItStands) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t place = 0; place < 3; ++place) {
    std::vector<float> after = {1, 2, 3};
    after[static_cast<std::size_t>(place)] = nan;
    const LogitMetrics metrics = compare({1, 2, 3}, after, {place});
    EXPECT_EQ(metrics.correct, 1U) << place;
    EXPECT_EQ(metrics.flips, place == 2 ? 0U : 1U);
    EXPECT_FALSE(std::isfinite(metrics.kl));
  }
  EXPECT_EQ(compare({1, 2, 3}, {1, nan, nan}, {1}).correct, 1U);
}

TEST(LogitMetrics, RefuseSizesThatDoNotFit) {
  EXPECT_THROW(
      compare_logits(std::vector<float>(4), std::vector<float>(6), 2, std::vector<std::int64_t>(2)),
      Error);
  EXPECT_THROW(compare_logits({}, {}, 2, {}), Error);
}

}  // namespace
}  // namespace tensorquant
