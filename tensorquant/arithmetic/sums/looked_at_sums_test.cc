// What sums say of themselves, in a RangeReport and by SumsOfProducts::outside, does not depend on
// the kernel that their numbers would allow.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/matrix_product.h"

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

}  // namespace
}  // namespace tensorquant
