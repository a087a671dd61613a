// What has saturated and what became zero, counted by hand.

#include "tensorquant/quantizers/quantizer_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/quantizers/half_precision.h"
#include "tensorquant/quantizers/storage.h"
#include "tests/floats.h"
#include "tests/hostile_float_environment.h"

namespace tensorquant {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <class T>
QuantizerReport report(const std::string& spec, const std::vector<T>& x,
                       const Context& context = {}) {
  return report_of(*make_quantizer(spec), std::span<const T>(x), context);
}

std::optional<std::uint64_t> saturated(const std::string& spec, const std::vector<float>& x) {
  return report(spec, x).saturated;
}

TEST(QuantizerReport, CountsFiniteNumbersAlone) {
  const QuantizerReport r =
      report<float>("nearest,8,4", {1, -200, 300, 0, -0.0F, 0.01F, kInfinity, -kInfinity, kNan});
  EXPECT_EQ(r.values, 6);
  EXPECT_EQ(r.nonzero, 4);
  EXPECT_EQ(r.saturated, 2);
  EXPECT_EQ(r.became_zero, 1);
  EXPECT_EQ(r.lowest, -200);
  EXPECT_EQ(r.highest, 300);
}

TEST(QuantizerReport, OfNoNumbersHasNoExtremes) {
  for (const char* spec : {"nearest,8,4", "mxfp4", "none"}) {
    const QuantizerReport r = report<float>(spec, {});
    EXPECT_EQ(r.values, 0) << spec;
    EXPECT_EQ(r.saturated, 0) << spec;
    EXPECT_EQ(r.saturated_share(), std::nullopt) << spec;
    EXPECT_EQ(r.became_zero_share(), std::nullopt) << spec;
    EXPECT_GT(r.lowest, r.highest) << spec;
  }
}

// Values are k / 16 for k in [-128, 127]: the ends are -8 and 7.9375, half a step behind them lie
// -8.03125 and 7.96875.
TEST(QuantizerReport, DoesNotCountWhatRoundingBringsBack) {
  const std::vector<float> within = {-8, 7.9375F, std::nextafter(7.96875F, 0.0F), 7.94F, -8.02F};
  EXPECT_EQ(saturated("nearest,8,4", within), 0);
  EXPECT_EQ(saturated("nearest,8,4", {7.96875F, 8, 1e30F, -8.03125F, -1e30F}), 5);  // ties go away
  EXPECT_EQ(saturated("even,8,4", {-8.03125F, 7.96875F}), 1);  // 127.5 goes to 128
  EXPECT_EQ(saturated("down,8,4", {7.99F, 8, -8.001F}), 2);
  EXPECT_EQ(saturated("zero,8,4", {7.99F, -8.05F, 8, -8.0625F}), 2);
  EXPECT_EQ(saturated("nearest,8,4,overflow=symmetric", {-8, -7.9375F, -7.97F}), 2);
  EXPECT_EQ(saturated("nearest,8,4,unsigned", {-0.03F, -0.04F, 15.96F, 16}), 2);
}

TEST(QuantizerReport, CountsOverflowsWhateverBecomesOfThem) {
  const std::vector<float> x = {7, 9, -9, 16, 100};
  for (const char* overflow : {"saturate", "wrap", "zero", "symmetric", "sign_magnitude"}) {
    EXPECT_EQ(saturated(std::string("nearest,8,4,overflow=") + overflow, x), 4) << overflow;
  }
  // 16 is 256 / 16, which wraps to zero.
  EXPECT_EQ(report("nearest,8,4,overflow=wrap", x).became_zero, 1);
  EXPECT_EQ(report("nearest,8,4,overflow=zero", x).became_zero, 4);
}

// binary16: the largest value is 65504, from 65520 on is infinity; the least is 2^-24.
TEST(QuantizerReport, OfFloatsCountsFromTheBorderOfInfinityOn) {
  const std::vector<float> x = {65504, 65519, 65520, -65520, 1e30F, 0x1p-24F, 0x1p-25F, 0x1.8p-25F};
  for (const char* spec : {"fp16", "fp16,overflow=saturate", "fp16,overflow=propagate"}) {
    EXPECT_EQ(saturated(spec, x), 3) << spec;
    EXPECT_EQ(report(spec, x).became_zero, 1) << spec;
  }
  EXPECT_EQ(saturated("fp16,rounding=zero", {65535, 65536}), 1);
  EXPECT_EQ(saturated("fp16,rounding=up", {65505, -65505}), 1);
  EXPECT_EQ(saturated("e4m3fn", {448, 464, 465, -465}), 2);  // 464 is a tie with 480, 448 is even
  EXPECT_EQ(saturated("e2m1", {6, 6.9F, 7, -7}), 2);         // 7 is a tie with 8, which is even
}

TEST(QuantizerReport, OfListsOfNumbersCountsAllBehindTheLast) {
  EXPECT_EQ(saturated("nf4,scale=1", {1, -1, 1.01F, -1.01F}), 2);
  EXPECT_EQ(saturated("posit,8,0", {64, 65, -65}), 2);
  EXPECT_EQ(saturated("binary,2", {2, -2, 2.5F}), 1);
  EXPECT_EQ(report<float>("ternary,1,0.5", {0.4F, 0.6F, -2}).became_zero, 1);
  EXPECT_EQ(saturated("ternary,1,0.5", {0.4F, 0.6F, -2}), 1);
  const QuantizerReport pruned = report<float>("sparse,0.5", {0.4F, 0, 1e38F});
  EXPECT_EQ(pruned.saturated, 0);
  EXPECT_EQ(pruned.became_zero, 1);
}

TEST(QuantizerReport, OfPowersOfTwoCountsFromTheMiddleToTheNextOneOn) {
  EXPECT_EQ(saturated("logarithmic,max=3,min=-4", {8, 11.9F, 12, -13}), 2);
  EXPECT_EQ(saturated("logarithmic,down,max=3,min=-4", {15.9F, 16}), 1);
}

// A wider format of the same step says what rounding alone makes of a number.
TEST(QuantizerReport, CountsWhatAWiderFormatHasBeyondTheEnds) {
  struct Pair {
    const char *spec, *wider;
    double lowest, highest;
  };
  const std::vector<float> x = interesting_floats<float>();
  const Context context = {.seed = 3, .stream = 1};
  for (const auto& [spec, wider, lowest, highest] :
       {Pair{"nearest,8,4", "nearest,40,4", -8, 7.9375},
        Pair{"up,8,4,unsigned", "up,40,4", 0, 15.9375},
        Pair{"stochastic,6,0", "stochastic,40,0", -32, 31},
        Pair{"stochastic,6,0,random_bits=8", "stochastic,40,0,random_bits=8", -32, 31},
        Pair{"float,4,3", "float,8,3", -240, 240},
        Pair{"float,5,2,rounding=stochastic", "float,8,2,rounding=stochastic", -57344, 57344}}) {
    std::vector<float> y(x.size());
    make_quantizer(wider)->quantize(std::span<const float>(x), y, context);
    std::uint64_t beyond = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      beyond += std::isfinite(x[i]) && (y[i] < lowest || y[i] > highest) ? 1 : 0;
    }
    EXPECT_EQ(report(spec, x, context).saturated, beyond) << spec;
  }
}

// The scale of the first group is 2^(5 - 2) = 8, where 63 / 8 is a tie between 6 and 8 less a
// quarter; of the second 2^(0 - 2).
TEST(QuantizerReport, OfScaledFormatsLooksAtEachGroup) {
  const std::vector<float> x = {63, 52, 1, 0, 1, 0.01F, -1.5F, 1.75F};
  EXPECT_EQ(saturated("e2m1,scale=floor,block=4", x), 2);  // 63 / 8 = 7.9, 1.75 * 4 = 7
  const QuantizerReport r = report("e2m1,scale=floor,block=4", x);
  EXPECT_EQ(r.nonzero, 7);
  EXPECT_EQ(r.became_zero, 2);  // 1 / 8 and 0.01 * 4, below a quarter
  EXPECT_EQ(saturated("e2m1,scale=ceil,block=4", x), 0);
  EXPECT_EQ(saturated("int,8,scale=0.5", {63.5F, 63.7F, 63.75F, -64.25F, -64.3F, -65}), 3);
  EXPECT_EQ(saturated("int,8,scale=1,zero=3", {124, 124.5F, 124.6F, -131.5F, -132}),
            3);  // ties to even
  EXPECT_EQ(saturated("int,8,unsigned,scale=range", {-1, 3, 2, 0}), 0);
}

TEST(QuantizerReport, OfAGroupThatIsNanCountsNothing) {
  const QuantizerReport r =
      report<float>("e2m1,scale=floor,block=4", {63, 1, kInfinity, 0, 63, 1, 0, 0});
  EXPECT_EQ(r.values, 7);
  EXPECT_EQ(r.saturated, 1);
  EXPECT_EQ(r.became_zero, 1);
}

TEST(QuantizerReport, OfChannelsWantsTheirAxis) {
  const std::vector<float> x = {127, 1, 0.4F, 12700, 100, 40};
  const Layout layout = {.channel = {1, 2, 3}, .reduction = {2, 3, 1}};
  const QuantizerReport r = report("int,8,per=channel,scale=max", x, {.layout = layout});
  EXPECT_EQ(r.became_zero, 2);  // of 0.4 / 1 and 40 / 100
  EXPECT_EQ(r.saturated, 0);
}

TEST(QuantizerReport, OfHalvesIsThatOfTheirNumbers) {
  const std::vector<float> numbers = {1, 100, -100, 0.001F, 0};
  std::vector<Float16> halves(numbers.size());
  std::vector<BFloat16> brains(numbers.size());
  from_float(numbers, halves);
  from_float(numbers, brains);
  for (const QuantizerReport& r : {report("nearest,8,4", halves), report("nearest,8,4", brains)}) {
    EXPECT_EQ(r.values, 5);
    EXPECT_EQ(r.saturated, 2);
    EXPECT_EQ(r.became_zero, 1);
  }
}

#ifdef __SSE2__
TEST(QuantizerReport, TakesNoSubnormalForZero) {
  const HostileFloatEnvironment hostile;
  const QuantizerReport r = report<float>("none", {1e-45F, -1e-40F, 0});
  EXPECT_EQ(r.nonzero, 2);
  EXPECT_EQ(r.became_zero, 0);
}
#endif

class Halving : public Quantizer {
 public:
  using Quantizer::quantize;
  void quantize(std::span<const float> in, std::span<float> out, const Context&) const override {
    for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] > 1 ? in[i] / 2 : 0;
  }
  std::string spec() const override { return "halving"; }
};

TEST(QuantizerReport, OfAUsersOwnQuantizerKnowsNoEnds) {
  const std::vector<float> x = {4, 0.5F, 0};
  QuantizerReport r = report_of(Halving(), std::span<const float>(x));
  EXPECT_EQ(r.saturated, std::nullopt);
  EXPECT_EQ(r.saturated_share(), std::nullopt);
  EXPECT_EQ(r.storage, std::nullopt);
  EXPECT_EQ(r.became_zero, 1);
  r.merge(QuantizerReport());
  EXPECT_EQ(r.saturated, std::nullopt);
}

TEST(QuantizerReport, AddsUp) {
  QuantizerReport all = report<float>("nearest,8,4", {1, 100});
  all.merge(report<float>("nearest,8,4", {-3, 0.001F, 0, -100}));
  EXPECT_EQ(all.values, 6);
  EXPECT_EQ(all.nonzero, 5);
  EXPECT_EQ(all.saturated, 2);
  EXPECT_EQ(all.became_zero, 1);
  EXPECT_EQ(all.saturated_share(), 2.0 / 6);
  EXPECT_EQ(all.became_zero_share(), 1.0 / 5);
  EXPECT_EQ(all.lowest, -100);
  EXPECT_EQ(all.highest, 100);
}

TEST(Storage, CountsScalesWithTheirBlocks) {
  const auto text = [](const char* spec) {
    return to_string(storage<float>(*make_quantizer(spec)->format()).value());
  };
  EXPECT_EQ(text("mxfp4"), "4.25 with the scales");
  EXPECT_EQ(text("nvfp4"), "4.5 with the scales");
  EXPECT_EQ(text("nearest,8,4"), "8");
  EXPECT_EQ(text("int,8,per=channel,scale=max"), "8, and 32 for each scale");
  EXPECT_EQ(text("int,8,per=channel,scale=range"), "8, and 40 for each scale");
  EXPECT_EQ(text("int,8,scale=0.5"), "8");
  EXPECT_EQ(storage<float>(*make_quantizer("none")->format()), std::nullopt);
  EXPECT_EQ(storage<float>(*make_quantizer("int,8,per=row,scale=max")->format())->bits_per_value(),
            std::nullopt);
}

}  // namespace
}  // namespace tensorquant
