#include "tensorquant/base/random.h"

#include "tensorquant/base/hash.h"

namespace tensorquant {

std::uint32_t stream_of(std::string_view layer, std::string_view role) {
  return static_cast<std::uint32_t>(
      Fnv1a().add(layer).add(std::string_view(":")).add(role).value());
}

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

namespace {

// Which word of which block an element takes: see random_word.
struct Place {
  explicit Place(std::uint64_t index)
      : block(16 * (index / 64) + index % 16), word(index % 64 / 16) {}
  std::uint64_t block;
  std::size_t word;
};

std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

// Elements 0..63 of a tile of 128 take the low halves of the words of a tile of 64, the others the
// high ones.
std::uint64_t word_index(std::uint64_t index) { return index / 128 * 64 + index % 64; }
std::uint32_t half_of(std::uint32_t word, std::uint64_t index) {
  return index % 128 < 64 ? word << 16 : word & 0xFFFF0000u;
}

}  // namespace

std::uint32_t random_word(const RandomStream& random, std::uint64_t index) {
  const Place place(index);
  return philox4x32({low(place.block), high(place.block), random.stream, random.step},
                    {low(random.seed), high(random.seed)})[place.word];
}

std::uint32_t random_half_word(const RandomStream& random, std::uint64_t index) {
  return half_of(random_word(random, word_index(index)), index);
}

std::uint32_t random_word(const RandomStream& random, std::uint64_t index, std::uint32_t tap) {
  const Place place(index);
  return philox4x32({low(place.block), tap, random.stream, random.step},
                    {low(random.seed), high(random.seed)})[place.word];
}

std::uint32_t random_half_word(const RandomStream& random, std::uint64_t index, std::uint32_t tap) {
  return half_of(random_word(random, word_index(index), tap), index);
}

}  // namespace tensorquant
