#include "tensorquant/arithmetic/sums/random_words.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensorquant/arithmetic/sums/random_words.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "tensorquant/kernels/random-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// The outputs of the run that take a tile's words at a tap.
HWY_INLINE void CopyWords(const RandomRun& run, std::uint64_t tile, std::size_t tap,
                          const std::uint32_t* from, std::uint32_t* words) {
  const std::uint64_t size = run.halves ? 2 * kTileWords : kTileWords;
  const std::uint64_t first = std::max(run.first, tile * size);
  const std::uint64_t end = std::min(run.first + run.count, (tile + 1) * size);
  std::uint32_t* to = words + tap * run.stride + (first - run.first);
  std::size_t i = first % size;
  const std::size_t last = i + (end - first);
  if (!run.halves) {
    std::copy(from + i, from + last, to);
    return;
  }
  for (; i < std::min(last, kTileWords); ++i) *to++ = from[i] << 16;
  if (i < last) std::copy(from + (i - kTileWords), from + (last - kTileWords), to);
}

// Two tiles at a time: of neighbours, or of one tap and the next.
void DrawRun(const RandomStream& random, const RandomRun& run, std::uint32_t* words) {
  const RoundKeys keys(random.seed);
  const std::uint64_t size = run.halves ? 2 * kTileWords : kTileWords;
  const std::uint64_t first_tile = run.first / size;
  const std::size_t tiles = (run.first + run.count - 1) / size - first_tile + 1;
  const auto block = [&](std::size_t item) {
    return (std::uint64_t{run.tap + item / tiles} << 32) |
           ((kTileBlocks * (first_tile + item % tiles)) & 0xFFFFFFFFu);
  };
  HWY_ALIGN std::uint32_t drawn[2 * kTileWords];
  const std::size_t items = tiles * run.taps;
  for (std::size_t item = 0; item < items; item += 2) {
    const std::size_t next = std::min(item + 1, items - 1);
    FillTwoTiles(random, keys, block(item), block(next), drawn);
    for (std::size_t i = item; i <= next; ++i) {
      CopyWords(run, first_tile + i % tiles, i / tiles, drawn + (i - item) * kTileWords, words);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tensorquant {

HWY_EXPORT(DrawRun);

void RandomOutputs::draw(const RandomStream& random, bool halves, std::uint32_t tap,
                         std::size_t taps, std::size_t stride, std::uint32_t* words) const {
  constexpr std::size_t kFew = 4;  // for which a tile of words is too much
  for (const Neighbours& run : runs_) {
    const auto index = static_cast<std::uint64_t>(run.place);
    std::uint32_t* to = words + run.first;
    if (run.count > kFew) {
      const RandomRun its_words{halves, index, run.count, tap, taps, stride};
      HWY_DYNAMIC_DISPATCH(DrawRun)(random, its_words, to);
      continue;
    }
    for (std::size_t k = 0; k < taps; ++k) {
      const auto its_tap = static_cast<std::uint32_t>(tap + k);
      for (std::size_t i = 0; i < run.count; ++i) {
        to[k * stride + i] = halves ? random_half_word(random, index + i, its_tap)
                                    : random_word(random, index + i, its_tap);
      }
    }
  }
}

}  // namespace tensorquant
#endif  // HWY_ONCE
