// The random words of base/random.h, a tile at a time. Compiled once a target.
#if defined(TENSORQUANT_KERNELS_RANDOM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_KERNELS_RANDOM_INL_H_
#undef TENSORQUANT_KERNELS_RANDOM_INL_H_
#else
#define TENSORQUANT_KERNELS_RANDOM_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tensorquant/base/random.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Words of a tile.
inline constexpr std::size_t kTileWords = 64;

// The keys of Philox's ten rounds.
struct RoundKeys {
  explicit RoundKeys(std::uint64_t seed) {
    auto low = static_cast<std::uint32_t>(seed);
    auto high = static_cast<std::uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round, low += 0x9E3779B9u, high += 0xBB67AE85u) {
      keys[round][0] = low;
      keys[round][1] = high;
    }
  }
  std::uint64_t keys[10][2];
};

// Four vectors of 32-bit words, one for each word of a Philox block; lane i belongs to block first
// + i.
template <class D>
struct PhiloxBlocks {
  hn::Vec<D> word0, word1, word2, word3;
};

// Philox4x32-10 for Lanes(d) blocks from `first`, whose low 32 bits must not carry among them. The
// 32x32 -> 64 bit product reads even lanes only, so even and odd blocks are computed apart, each in
// 64-bit lanes, and interleaved at the end.
template <class D>
HWY_INLINE PhiloxBlocks<D> Philox(D d, const Context& context, const RoundKeys& keys,
                                  std::uint64_t first) {
  const hn::Repartition<std::uint64_t, D> d64;
  using V64 = hn::Vec<decltype(d64)>;
  struct Block {
    V64 word0, word1, word2, word3;
  };
  const auto begin = [&](std::uint64_t offset) HWY_ATTR {
    const std::uint64_t low = (first & 0xFFFFFFFFu) + offset;
    return Block{hn::Add(hn::Set(d64, low), hn::ShiftLeft<1>(hn::Iota(d64, 0))),
                 hn::Set(d64, first >> 32), hn::Set(d64, std::uint64_t{context.stream}),
                 hn::Set(d64, std::uint64_t{context.step})};
  };
  const auto multiplier0 = hn::Set(d, 0xD2511F53u);
  const auto multiplier1 = hn::Set(d, 0xCD9E8D57u);
  // The high half of a word is never read again but by the xor, whose result's high half is not
  // read either.
  const auto mix = [&](Block& b, V64 key0, V64 key1) HWY_ATTR {
    const V64 product0 = hn::MulEven(hn::BitCast(d, b.word0), multiplier0);
    const V64 product1 = hn::MulEven(hn::BitCast(d, b.word2), multiplier1);
    b.word0 = hn::Xor(hn::ShiftRight<32>(product1), hn::Xor(b.word1, key0));
    b.word2 = hn::Xor(hn::ShiftRight<32>(product0), hn::Xor(b.word3, key1));
    b.word1 = product1;
    b.word3 = product0;
  };
  Block even = begin(0), odd = begin(1);
  for (const auto& key : keys.keys) {
    const V64 key0 = hn::Set(d64, key[0]), key1 = hn::Set(d64, key[1]);
    mix(even, key0, key1);
    mix(odd, key0, key1);
  }
  const auto interleave = [&](V64 low, V64 high) HWY_ATTR {
    return hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(high)), hn::BitCast(d, low));
  };
  return {interleave(even.word0, odd.word0), interleave(even.word1, odd.word1),
          interleave(even.word2, odd.word2), interleave(even.word3, odd.word3)};
}

// The words of 16 blocks from `first`, word-major.
HWY_INLINE void FillBlocks(const Context& context, const RoundKeys& keys, std::uint64_t first,
                           std::uint32_t* words) {
  const hn::CappedTag<std::uint32_t, 16> d;
  for (std::size_t lane = 0; lane < 16; lane += hn::Lanes(d)) {
    const auto blocks = Philox(d, context, keys, first + lane);
    hn::StoreU(blocks.word0, d, words + lane);
    hn::StoreU(blocks.word1, d, words + 16 + lane);
    hn::StoreU(blocks.word2, d, words + 32 + lane);
    hn::StoreU(blocks.word3, d, words + 48 + lane);
  }
}

// The words of elements 64 tile ... 64 tile + 63 of the sums at a tap, which takes the place of the
// block's high 32 bits.
HWY_INLINE void FillTileOfTap(const Context& context, std::uint64_t tile, std::uint32_t tap,
                              std::uint32_t* words) {
  FillBlocks(context, RoundKeys(context.seed),
             (std::uint64_t{tap} << 32) | ((16 * tile) & 0xFFFFFFFFu), words);
}

// The elements of a part that begin at `begin` and take one tile's words, shifted left by `shift`.
template <int shift, class T, class Special, class Op>
HWY_INLINE void ForEachVectorOfTile(const std::uint32_t* words, std::size_t begin, bool streams,
                                    const Part<T>& part, const Special& special, const Op& op) {
  if (begin >= part.count) return;
  const hn::CappedTag<T, 64 / sizeof(T)> d;
  const hn::Rebind<std::uint32_t, decltype(d)> d32;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t count = std::min(kTileWords, part.count - begin);
  const T* x = part.in + begin;
  T* out = part.out + begin;
  const auto words_at = [&](std::size_t i)
                            HWY_ATTR { return hn::ShiftLeft<shift>(hn::LoadU(d32, words + i)); };
  std::size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const auto x0 = hn::LoadU(d, x + i);
    const auto x1 = hn::LoadU(d, x + i + lanes);
    const auto x2 = hn::LoadU(d, x + i + 2 * lanes);
    const auto x3 = hn::LoadU(d, x + i + 3 * lanes);
    const auto y0 = op(d, x0, words_at(i));
    const auto y1 = op(d, x1, words_at(i + lanes));
    const auto y2 = op(d, x2, words_at(i + 2 * lanes));
    const auto y3 = op(d, x3, words_at(i + 3 * lanes));
    if (streams) {
      StoreFour<Stores::streaming>(d, y0, y1, y2, y3, x0, x1, x2, x3, special, out + i);
    } else {
      StoreFour<Stores::cached>(d, y0, y1, y2, y3, x0, x1, x2, x3, special, out + i);
    }
  }
  for (; i < count; i += lanes) {
    StoreSome(d, std::min(lanes, count - i), x + i, special, out + i,
              [&](auto v) HWY_ATTR { return op(d, v, words_at(i)); });
  }
}

// part.out = op(d, x, words) for all vectors x of part.in and the elements' random words; of half
// words the upper half counts alone, the other has any bits. part.first is a multiple of both kinds
// of tiles. These begin where the index says, so that an output that is not aligned cannot be
// streamed.
template <bool halves, class T, class Special, class Op>
HWY_INLINE void ForEachRandomVector(const Part<T>& part, const Context& context,
                                    const Special& special, const Op& op) {
  const hn::CappedTag<T, 64 / sizeof(T)> d;
  const bool streams = part.stores == Stores::streaming && ElementsToAlignment(d, part.out) == 0;
  const RoundKeys keys(context.seed);
  HWY_ALIGN std::uint32_t words[kTileWords];
  constexpr std::size_t kTile = halves ? 2 * kTileWords : kTileWords;
  for (std::size_t i = 0; i < part.count; i += kTile) {
    FillBlocks(context, keys, 16 * ((part.first + i) / kTile), words);
    if constexpr (halves) {
      ForEachVectorOfTile<16>(words, i, streams, part, special, op);
      ForEachVectorOfTile<0>(words, i + kTileWords, streams, part, special, op);
    } else {
      ForEachVectorOfTile<0>(words, i, streams, part, special, op);
    }
  }
  if (streams) hwy::FlushStream();  // for readers on other threads
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_RANDOM_INL_H_
