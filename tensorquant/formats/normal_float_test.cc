#include "tensorquant/formats/normal_float.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/floats.h"

namespace tensorquant {
namespace {

TEST(NormalFloat4, GivesTiesToTheLowerValue) {
  for (std::size_t i = 0; i + 1 < NormalFloat4::kValues.size(); ++i) {
    const double border = NormalFloat4::border(i);
    EXPECT_SAME_BITS(quantize_reference(NormalFloat4(), border), double{NormalFloat4::kValues[i]});
    EXPECT_SAME_BITS(quantize_reference(NormalFloat4(), std::nextafter(border, 2)),
                     double{NormalFloat4::kValues[i + 1]});
  }
}

TEST(NormalFloat4, SaturatesAndHasOneZero) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_SAME_BITS(quantize_reference(NormalFloat4(), -kInf), -1.0f);
  EXPECT_SAME_BITS(quantize_reference(NormalFloat4(), 7.0f), 1.0f);
  EXPECT_SAME_BITS(quantize_reference(NormalFloat4(), -0.0f), 0.0f);
}

}  // namespace
}  // namespace tensorquant
