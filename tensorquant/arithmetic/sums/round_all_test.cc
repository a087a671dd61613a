#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <variant>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/base/bits.h"
#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {
namespace {

double round_one(const GridFormat& format, double x, const Draw& draw) {
  return std::visit(
      [&](const auto& f) {
        if constexpr (TakesDraw<std::decay_t<decltype(f)>>) {
          return quantize_reference(f, x, draw);
        } else {
          return quantize_reference(f, x);
        }
      },
      format);
}

// The words of random rounding are those of the outputs' indices and of the tap, wherever a run of
// neighbours begins: far beyond 32 bits, and at the last taps.
TEST(RoundAll, TakesTheWordsOfIndicesAndTap) {
  constexpr std::int64_t kFirsts[] = {0,
                                      1,
                                      63,
                                      64,
                                      100,
                                      128,
                                      200,
                                      (1ll << 32) + 5,
                                      (1ll << 34) - 40,
                                      (1ll << 35) - 40,
                                      (1ll << 40) + 3};
  constexpr std::uint32_t kTaps[] = {0, 1, 77, (1u << 28) - 1, 1u << 28, kFirstOuterTap, kBiasTap};
  const RandomStream random{11, 5, 9};
  for (const char* spec :
       {"stochastic,16,8", "stochastic,16,8,random_bits=8", "stochastic,20,10,random_bits=20",
        "float,4,3,rounding=stochastic", "float,5,10,rounding=stochastic,random_bits=10",
        "p3109,8,3,rounding=stochastic"}) {
    const GridFormat format = *grid_format(*make_quantizer(spec)->format());
    ASSERT_TRUE(is_random(format)) << spec;
    for (const std::int64_t first : kFirsts) {
      for (const std::uint32_t tap : kTaps) {
        std::vector<std::int64_t> indices(300);
        std::iota(indices.begin(), indices.end(), first);
        for (std::size_t i = 250; i < 270; ++i) indices[i] = first + 3 * static_cast<int>(i);
        std::vector<double> x(indices.size()), wanted(indices.size());
        for (std::size_t i = 0; i < x.size(); ++i) {
          x[i] = (static_cast<double>(i) - 140) / 3.7 + 0x1p-40;
          wanted[i] = round_one(format, x[i],
                                draw(format, random, static_cast<std::uint64_t>(indices[i]), tap));
        }
        for (const SimdTarget& target : simd_targets()) {
          const ScopedSimdTarget scope(target);
          std::vector<double> y = x;
          round_all(format, random, tap, indices, y);
          for (std::size_t i = 0; i < x.size(); ++i) {
            ASSERT_EQ(to_bits(y[i]), to_bits(wanted[i]))
                << spec << ", output " << indices[i] << ", tap " << tap << " on " << target.name;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tensorquant
