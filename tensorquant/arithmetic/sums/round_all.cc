// Many numbers rounded to a format.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <variant>

#include "tensorquant/arithmetic/sums/finish.h"
#include "tensorquant/arithmetic/sums/neighbours.h"
#include "tensorquant/kernels/kernels.h"

namespace tensorquant {
namespace {

// Elements that share blocks of random words: a tile, of whole words or of halves.
constexpr std::size_t kLargestTile = 128;
std::size_t tile_of(bool halves) { return halves ? kLargestTile : kLargestTile / 2; }

// The kernels know no taps. But a tap takes the place of the high 32 bits of a block's number, and
// these are those of the index, if it is large: see random_word().
int tap_shift(bool halves) { return halves ? 35 : 34; }
bool has_such_indices(std::uint64_t end, std::uint32_t tap, bool halves) {
  return end >> tap_shift(halves) == 0 && tap >> 28 == 0;
}

// values[i] is that of output `first` + i. The kernels begin with whole tiles.
template <class F>
void round_run(const F& format, const RandomStream& random, std::uint64_t first, std::uint32_t tap,
               std::span<double> values) {
  const bool halves = draws_half_words(format.random_bits);
  const std::uint64_t high = std::uint64_t{tap} << tap_shift(halves);
  const auto round = [&](double* x, std::size_t count, std::uint64_t index) {
    quantize_part(
        format, random,
        Part<double>{x, x, count, static_cast<std::size_t>(high + index), Stores::cached});
  };
  if (const std::size_t before = first % tile_of(halves); before != 0) {
    double tile[kLargestTile] = {};
    const std::size_t count = std::min(values.size(), tile_of(halves) - before);
    std::copy_n(values.data(), count, tile + before);
    round(tile, before + count, first - before);
    std::copy_n(tile + before, count, values.data());
    first += count;
    values = values.subspan(count);
  }
  if (!values.empty()) round(values.data(), values.size(), first);
}

template <class F>
void round_at_random(const F& format, const RandomStream& random, std::uint32_t tap,
                     std::span<const std::int64_t> indices, std::span<double> values) {
  constexpr std::size_t kFew = 4;  // for which a tile of words is too much
  for (const Neighbours& run : runs_of_neighbours(indices)) {
    const std::span<double> its = values.subspan(run.first, run.count);
    const auto index = static_cast<std::uint64_t>(run.place);
    if (run.count > kFew &&
        has_such_indices(index + run.count, tap, draws_half_words(format.random_bits))) {
      round_run(format, random, index, tap, its);
      continue;
    }
    for (std::size_t i = 0; i < run.count; ++i) {
      its[i] = quantize_reference(format, its[i], draw(format, random, index + i, tap));
    }
  }
}

}  // namespace

void round_all(const GridFormat& format, const RandomStream& random, std::uint32_t tap,
               std::span<const std::int64_t> indices, std::span<double> values) {
  std::visit(
      [&](const auto& f) {
        if constexpr (TakesDraw<std::decay_t<decltype(f)>>) {
          if (is_random(f)) return round_at_random(f, random, tap, indices, values);
        }
        quantize(f, std::span<const double>(values), values);
      },
      in_double(format));
}

}  // namespace tensorquant
