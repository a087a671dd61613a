#include "tensorquant/arithmetic/sums/random_words.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tensorquant/kernels/simd_target.h"

namespace tensorquant {
namespace {

// Runs begin and end anywhere in a tile, far beyond 32 bits, and some outputs have no neighbours.
TEST(RandomOutputs, DrawTheWordsOfIndicesAndTaps) {
  const RandomStream random{11, 5, 9};
  for (const std::int64_t first : std::vector<std::int64_t>{
           0, 1, 63, 64, 100, 128, 200, (1ll << 32) + 5, (1ll << 34) - 40, (1ll << 40) + 3}) {
    std::vector<std::int64_t> indices(300);
    std::iota(indices.begin(), indices.end(), first);
    for (std::size_t i = 130; i < 300; ++i) indices[i] += 1000;
    for (std::size_t i = 250; i < 270; ++i) indices[i] = first + 3 * static_cast<int>(i);
    const RandomOutputs outputs(indices);
    for (const std::uint32_t tap : {0u, 77u, (1u << 28) - 1, 0xFFFFFFF0u}) {
      for (const std::size_t taps : {1, 2, 3, 4}) {
        for (const bool halves : {false, true}) {
          for (const SimdTarget& target : simd_targets()) {
            const ScopedSimdTarget scope(target);
            constexpr std::size_t kStride = 320;
            std::vector<std::uint32_t> words(taps * kStride, 0xABCDABCDu);
            outputs.draw(random, halves, tap, taps, kStride, words.data());
            for (std::size_t k = 0; k < taps; ++k) {
              const auto its_tap = static_cast<std::uint32_t>(tap + k);
              for (std::size_t i = 0; i < kStride; ++i) {
                const std::uint32_t word = words[k * kStride + i];
                if (i >= indices.size()) {
                  ASSERT_EQ(word, 0xABCDABCDu) << "written beyond the outputs";
                  continue;
                }
                const auto index = static_cast<std::uint64_t>(indices[i]);
                const std::uint32_t wanted = halves ? random_half_word(random, index, its_tap)
                                                    : random_word(random, index, its_tap);
                ASSERT_EQ(halves ? word & 0xFFFF0000u : word, wanted)
                    << "output " << index << ", tap " << its_tap << ", halves " << halves << " on "
                    << target.name;
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tensorquant
