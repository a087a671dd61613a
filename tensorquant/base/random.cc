#include "tensorquant/base/random.h"

namespace tensorquant {

std::uint32_t stream_of(std::string_view layer, std::string_view role) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  auto mix = [&hash](std::string_view text) {
    for (char c : text) {
      hash ^= static_cast<unsigned char>(c);
      hash *= 0x100000001b3u;
    }
  };
  mix(layer);
  mix(":");
  mix(role);
  return static_cast<std::uint32_t>(hash);
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

std::uint32_t random_word(const Context& context, std::uint64_t index) {
  const std::uint64_t tile = index / 64;
  const std::uint64_t j = index % 64;
  const std::uint64_t block = 16 * tile + j % 16;
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  return philox4x32({low(block), high(block), context.stream, context.step},
                    {low(context.seed), high(context.seed)})[j / 16];
}

std::uint32_t random_half_word(const Context& context, std::uint64_t index) {
  const std::uint64_t tile = index / 128;
  const std::uint64_t j = index % 128;
  const std::uint32_t word = random_word(context, 64 * tile + j % 64);
  return j < 64 ? word << 16 : word & 0xFFFF0000u;
}

}  // namespace tensorquant
