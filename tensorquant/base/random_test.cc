#include "tensorquant/base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace tensorquant {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Known answers of the generator's authors (Random123, kat_vectors).
TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// FNV-1a-64 of "a" is af63dc4c8601ec8c (the algorithm's own test suite); ":" and "" are mixed in
// after it here.
TEST(StreamOf, IsTheLowHalfOfFnv1aOverNameColonRole) {
  auto fnv = [](std::uint64_t hash, unsigned char c) { return (hash ^ c) * 0x100000001b3u; };
  EXPECT_EQ(stream_of("a", ""), static_cast<std::uint32_t>(fnv(0xaf63dc4c8601ec8c, ':')));
  EXPECT_NE(stream_of("conv1", "weight"), stream_of("conv1", "bias"));
  EXPECT_NE(stream_of("conv1", "weight"), stream_of("conv2", "weight"));
}

TEST(RandomWord, WalksTilesOf64WordMajor) {
  const RandomStream random{.seed = 0x123456789abcdef0, .stream = 7, .step = 9};
  auto block = [&](std::uint32_t low, std::uint32_t high) {
    return philox4x32({low, high, 7, 9}, {0x9abcdef0, 0x12345678});
  };
  EXPECT_EQ(random_word(random, 0), block(0, 0)[0]);
  EXPECT_EQ(random_word(random, 15), block(15, 0)[0]);
  EXPECT_EQ(random_word(random, 16), block(0, 0)[1]);
  EXPECT_EQ(random_word(random, 63), block(15, 0)[3]);
  EXPECT_EQ(random_word(random, 64), block(16, 0)[0]);
  // Element 2^34 is the first of tile 2^28, whose first block is 2^32.
  EXPECT_EQ(random_word(random, std::uint64_t{1} << 34), block(0, 1)[0]);
}

TEST(RandomHalfWord, ServesTwoElementsOfATileOf128) {
  const RandomStream random{.seed = 5};
  for (std::uint64_t j : {0, 1, 17, 63}) {
    const std::uint32_t word = random_word(random, std::uint64_t{64} * 3 + j);
    EXPECT_EQ(random_half_word(random, std::uint64_t{128} * 3 + j), word << 16);
    EXPECT_EQ(random_half_word(random, std::uint64_t{128} * 3 + 64 + j), word & 0xFFFF0000u);
  }
}

}  // namespace
}  // namespace tensorquant
