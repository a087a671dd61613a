#ifndef TENSORQUANT_BASE_RANDOM_H_
#define TENSORQUANT_BASE_RANDOM_H_

#include <array>
#include <cstdint>
#include <string_view>

namespace tensorquant {

// Where random numbers come from. A number is a function of these three and of the element's index,
// never of time, thread or call order, so every front-end and every run draws the same ones.
struct RandomStream {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;  // tells the tensors of a network apart: stream_of(layer, role)
  std::uint32_t step = 0;    // tells the forward calls of a training run apart
};

// The low 32 bits of FNV-1a-64 over "layer:role", for example stream_of("conv1", "weight").
std::uint32_t stream_of(std::string_view layer, std::string_view role);

// Philox4x32-10, a counter-based generator: J. Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

// The 32 random bits of element `index`. Elements come in tiles of 64, word-major: tile t = index
// div 64, j = index mod 64 takes word j div 16 of block 16 t + j mod 16.
std::uint32_t random_word(const RandomStream& random, std::uint64_t index);

// As random_word, but one word serves two elements: tiles of 128, of which the first 64 take the
// low and the last 64 the high 16 bits of the same words. The 16 bits are returned at the top of
// the word, the rest is zero.
std::uint32_t random_half_word(const RandomStream& random, std::uint64_t index);

// The same for step `tap` of the sum that makes output `index`: the tap takes the place of the
// block's high 32 bits.
std::uint32_t random_word(const RandomStream& random, std::uint64_t index, std::uint32_t tap);
std::uint32_t random_half_word(const RandomStream& random, std::uint64_t index, std::uint32_t tap);

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_RANDOM_H_
