#ifndef TENSORQUANT_ARITHMETIC_SUMS_RANDOM_WORDS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_RANDOM_WORDS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/sums/neighbours.h"
#include "tensorquant/base/random.h"

namespace tensorquant {

// Some taps of neighbouring outputs.
struct RandomRun {
  bool halves;          // a word serves two outputs
  std::uint64_t first;  // the first output's index
  std::size_t count;
  std::uint32_t tap;
  std::size_t taps, stride;
};

// The outputs of a tile as runs of neighbours, which share blocks of random words.
class RandomOutputs {
 public:
  RandomOutputs() = default;
  // The index of each output.
  explicit RandomOutputs(std::span<const std::int64_t> indices)
      : runs_(runs_of_neighbours(indices)) {}

  // words[k * stride + i] = random_word(random, indices[i], tap + k) for `taps` taps; with `halves`
  // the upper half is random_half_word()'s, and the lower one may be anything.
  void draw(const RandomStream& random, bool halves, std::uint32_t tap, std::size_t taps,
            std::size_t stride, std::uint32_t* words) const;

 private:
  std::vector<Neighbours> runs_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_RANDOM_WORDS_H_
