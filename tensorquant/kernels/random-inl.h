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

// A tile has the four words of 16 blocks.
inline constexpr std::size_t kTileBlocks = 16;
inline constexpr std::size_t kTileWords = 4 * kTileBlocks;

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

// Philox4x32-10 for Lanes(d) blocks from `first`, whose low 32 bits must not carry among them. The
// 32x32 -> 64 bit product reads even lanes only, so even and odd blocks are computed apart, each in
// 64-bit lanes, and interleaved at the end.
template <class D>
class PhiloxBlocks {
 public:
  HWY_INLINE PhiloxBlocks(const RandomStream& random, std::uint64_t first)
      : even_(Begin(random, first, 0)), odd_(Begin(random, first, 1)) {}

  HWY_INLINE void Mix(const std::uint64_t (&key)[2]) {
    const V64 key0 = hn::Set(D64(), key[0]), key1 = hn::Set(D64(), key[1]);
    Mix(even_, key0, key1);
    Mix(odd_, key0, key1);
  }

  // To their places in the tile: word 0 of its blocks, then word 1 and so on.
  HWY_INLINE void Store(std::uint32_t* words) const {
    hn::StoreU(Interleave(even_.word0, odd_.word0), D(), words);
    hn::StoreU(Interleave(even_.word1, odd_.word1), D(), words + kTileBlocks);
    hn::StoreU(Interleave(even_.word2, odd_.word2), D(), words + 2 * kTileBlocks);
    hn::StoreU(Interleave(even_.word3, odd_.word3), D(), words + 3 * kTileBlocks);
  }

 private:
  using D64 = hn::Repartition<std::uint64_t, D>;
  using V64 = hn::Vec<D64>;
  // The high half of a word is never read again but by the xor, whose result's high half is not
  // read either.
  struct Words {
    V64 word0, word1, word2, word3;
  };

  static HWY_INLINE Words Begin(const RandomStream& random, std::uint64_t first,
                                std::uint64_t offset) {
    const D64 d;
    const std::uint64_t low = (first & 0xFFFFFFFFu) + offset;
    return {hn::Add(hn::Set(d, low), hn::ShiftLeft<1>(hn::Iota(d, 0))), hn::Set(d, first >> 32),
            hn::Set(d, std::uint64_t{random.stream}), hn::Set(d, std::uint64_t{random.step})};
  }

  static HWY_INLINE void Mix(Words& b, V64 key0, V64 key1) {
    const V64 product0 = hn::MulEven(hn::BitCast(D(), b.word0), hn::Set(D(), 0xD2511F53u));
    const V64 product1 = hn::MulEven(hn::BitCast(D(), b.word2), hn::Set(D(), 0xCD9E8D57u));
    b.word0 = hn::Xor3(hn::ShiftRight<32>(product1), b.word1, key0);
    b.word2 = hn::Xor3(hn::ShiftRight<32>(product0), b.word3, key1);
    b.word1 = product1;
    b.word3 = product0;
  }

  static HWY_INLINE hn::Vec<D> Interleave(V64 even, V64 odd) {
    return hn::OddEven(hn::DupEven(hn::BitCast(D(), odd)), hn::BitCast(D(), even));
  }

  Words even_, odd_;
};

// The words of two tiles, whose blocks begin at `first` and `second`, side by side: one alone would
// wait for its own products.
HWY_INLINE void FillTwoTiles(const RandomStream& random, const RoundKeys& keys, std::uint64_t first,
                             std::uint64_t second, std::uint32_t* words) {
  const hn::CappedTag<std::uint32_t, kTileBlocks> d;
  for (std::size_t lane = 0; lane < kTileBlocks; lane += hn::Lanes(d)) {
    PhiloxBlocks<decltype(d)> blocks(random, first + lane);
    PhiloxBlocks<decltype(d)> next(random, second + lane);
    for (const auto& key : keys.keys) {
      blocks.Mix(key);
      next.Mix(key);
    }
    blocks.Store(words + lane);
    next.Store(words + kTileWords + lane);
  }
}

// The words of elements 64 tile ... 64 tile + 63 of the sums at a tap, which takes the place of the
// block's high 32 bits, and at the next one.
HWY_INLINE void FillTilesOfTaps(const RandomStream& random, const RoundKeys& keys,
                                std::uint64_t tile, std::uint32_t tap, std::uint32_t* words) {
  const std::uint64_t block = (kTileBlocks * tile) & 0xFFFFFFFFu;
  FillTwoTiles(random, keys, (std::uint64_t{tap} << 32) | block,
               (std::uint64_t{tap + 1} << 32) | block, words);
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
// words the upper half counts alone, the other has any bits. part.first is a multiple of a tile of
// its kind. Tiles begin where the index says, so that an output that is not aligned cannot be
// streamed.
template <bool halves, class T, class Special, class Op>
HWY_INLINE void ForEachRandomVector(const Part<T>& part, const RandomStream& random,
                                    const Special& special, const Op& op) {
  const hn::CappedTag<T, 64 / sizeof(T)> d;
  const bool streams = part.stores == Stores::streaming && ElementsToAlignment(d, part.out) == 0;
  const RoundKeys keys(random.seed);
  HWY_ALIGN std::uint32_t words[2 * kTileWords];
  constexpr std::size_t kTile = halves ? 2 * kTileWords : kTileWords;
  static_assert(kPartBlock % (2 * kTile) == 0);
  for (std::size_t i = 0; i < part.count; i += 2 * kTile) {
    const std::uint64_t first = kTileBlocks * ((part.first + i) / kTile);
    FillTwoTiles(random, keys, first, first + kTileBlocks, words);
    for (std::size_t tile = 0; tile < 2; ++tile) {
      const std::uint32_t* from = words + tile * kTileWords;
      const std::size_t begin = i + tile * kTile;
      if constexpr (halves) {
        ForEachVectorOfTile<16>(from, begin, streams, part, special, op);
        ForEachVectorOfTile<0>(from, begin + kTileWords, streams, part, special, op);
      } else {
        ForEachVectorOfTile<0>(from, begin, streams, part, special, op);
      }
    }
  }
  if (streams) hwy::FlushStream();  // for readers on other threads
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_RANDOM_INL_H_
