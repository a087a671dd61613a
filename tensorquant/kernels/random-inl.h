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

#include "tensorquant/base/random.h"
#include "tensorquant/kernels/elementwise-inl.h"
#include "tensorquant/kernels/part.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The tile borders of both kinds of words fall on multiples of this.
inline constexpr std::size_t kRandomTile = 128;

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
HWY_INLINE PhiloxBlocks<D> Philox(D d, const Context& context, std::uint64_t first) {
  const hn::Repartition<std::uint64_t, D> d64;
  using V64 = hn::Vec<decltype(d64)>;
  struct Block {
    V64 word0, word1, word2, word3;
  };
  const auto ten_rounds = [&](std::uint64_t offset) HWY_ATTR {
    const std::uint64_t low = (first & 0xFFFFFFFFu) + offset;
    Block b{hn::Add(hn::Set(d64, low), hn::ShiftLeft<1>(hn::Iota(d64, 0))),
            hn::Set(d64, first >> 32), hn::Set(d64, std::uint64_t{context.stream}),
            hn::Set(d64, std::uint64_t{context.step})};
    std::uint32_t key0 = static_cast<std::uint32_t>(context.seed);
    std::uint32_t key1 = static_cast<std::uint32_t>(context.seed >> 32);
    const auto multiplier0 = hn::Set(d, 0xD2511F53u);
    const auto multiplier1 = hn::Set(d, 0xCD9E8D57u);
    for (int round = 0; round < 10; ++round) {
      const V64 product0 = hn::MulEven(hn::BitCast(d, b.word0), multiplier0);
      const V64 product1 = hn::MulEven(hn::BitCast(d, b.word2), multiplier1);
      // The high half of a word is never read again but by this xor, whose result's high half is
      // not read either.
      b.word0 = hn::Xor(hn::ShiftRight<32>(product1),
                        hn::Xor(b.word1, hn::Set(d64, std::uint64_t{key0})));
      b.word2 = hn::Xor(hn::ShiftRight<32>(product0),
                        hn::Xor(b.word3, hn::Set(d64, std::uint64_t{key1})));
      b.word1 = product1;
      b.word3 = product0;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    return b;
  };
  const Block even = ten_rounds(0);
  const Block odd = ten_rounds(1);
  const auto interleave = [&](V64 low, V64 high) HWY_ATTR {
    return hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(high)), hn::BitCast(d, low));
  };
  return {interleave(even.word0, odd.word0), interleave(even.word1, odd.word1),
          interleave(even.word2, odd.word2), interleave(even.word3, odd.word3)};
}

// The 64 words of 16 blocks from `first`, word-major.
HWY_INLINE void FillBlocks(const Context& context, std::uint64_t first, std::uint32_t* words) {
  const hn::CappedTag<std::uint32_t, 16> d;
  for (std::size_t lane = 0; lane < 16; lane += hn::Lanes(d)) {
    const auto blocks = Philox(d, context, first + lane);
    hn::StoreU(blocks.word0, d, words + lane);
    hn::StoreU(blocks.word1, d, words + 16 + lane);
    hn::StoreU(blocks.word2, d, words + 32 + lane);
    hn::StoreU(blocks.word3, d, words + 48 + lane);
  }
}

// The 64 words of elements 64 tile ... 64 tile + 63.
HWY_INLINE void FillTile(const Context& context, std::uint64_t tile, std::uint32_t* words) {
  FillBlocks(context, 16 * tile, words);
}

// The same for a tap of those outputs' sums, which takes the place of the block's high 32 bits.
HWY_INLINE void FillTileOfTap(const Context& context, std::uint64_t tile, std::uint32_t tap,
                              std::uint32_t* words) {
  FillBlocks(context, (std::uint64_t{tap} << 32) | ((16 * tile) & 0xFFFFFFFFu), words);
}

// The words of elements index ... index + 127; index is a multiple of kRandomTile.
HWY_INLINE void FillWords(const Context& context, std::uint64_t index, bool halves,
                          std::uint32_t* words) {
  if (!halves) {
    FillTile(context, index / 64, words);
    FillTile(context, index / 64 + 1, words + 64);
    return;
  }
  FillTile(context, index / 128, words);
  const hn::CappedTag<std::uint32_t, 16> d;
  for (std::size_t i = 0; i < 64; i += hn::Lanes(d)) {
    const auto word = hn::LoadU(d, words + i);
    hn::StoreU(hn::ShiftLeft<16>(word), d, words + i);
    hn::StoreU(hn::And(word, hn::Set(d, 0xFFFF0000u)), d, words + 64 + i);
  }
}

template <Stores stores, class T, class Op>
HWY_INLINE void ForEachRandomVectorStored(const Part<T>& part, const Context& context, bool halves,
                                          const Op& op) {
  const hn::CappedTag<T, 64 / sizeof(T)> d;
  const std::size_t lanes = hn::Lanes(d);
  HWY_ALIGN std::uint32_t words[kRandomTile];
  for (std::size_t begin = 0; begin < part.count; begin += kRandomTile) {
    FillWords(context, part.first + begin, halves, words);
    const std::size_t size = std::min(kRandomTile, part.count - begin);
    const T* in = part.in + begin;
    T* out = part.out + begin;
    std::size_t i = 0;
    for (; i + lanes <= size; i += lanes) {
      StoreVector<stores>(op(d, hn::LoadU(d, in + i), words + i), d, out + i);
    }
    if (i == size) continue;
    HWY_ALIGN T rest[64 / sizeof(T)] = {};
    std::copy(in + i, in + size, rest);
    hn::Store(op(d, hn::Load(d, rest), words + i), d, rest);
    std::copy(rest, rest + (size - i), out + i);
  }
  if constexpr (stores == Stores::streaming) hwy::FlushStream();  // for readers on other threads
}

// part.out = op(d, x, words) for all lanes, where x are elements of part.in and `words` points at
// the lanes' random words. part.first is a multiple of kRandomTile. Tiles begin where the index
// says, so that an output that is not aligned cannot be streamed.
template <class T, class Op>
HWY_INLINE void ForEachRandomVector(const Part<T>& part, const Context& context, bool halves,
                                    const Op& op) {
  const hn::CappedTag<T, 64 / sizeof(T)> d;
  if (part.stores == Stores::streaming && ElementsToAlignment(d, part.out) == 0) {
    ForEachRandomVectorStored<Stores::streaming>(part, context, halves, op);
  } else {
    ForEachRandomVectorStored<Stores::cached>(part, context, halves, op);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_KERNELS_RANDOM_INL_H_
