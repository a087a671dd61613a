#ifndef TENSORQUANT_KERNELS_RUNS_OF_SCALES_H_
#define TENSORQUANT_KERNELS_RUNS_OF_SCALES_H_

#include <algorithm>
#include <cstddef>

#include "tensorquant/formats/scale.h"

namespace tensorquant {

// Fewer elements with one scale, or with scales that lie side by side, are not worth a call; runs
// of whole vectors, whatever the instruction set, share one.
inline constexpr std::size_t kShortRun = 256;
inline constexpr std::size_t kWholeVectors = 16;

// Consecutive groups of a tensor that lie side by side, with consecutive numbers.
struct Unit {
  std::size_t first_group;
  std::size_t groups;
  std::size_t begin;     // the index of the first group's first element
  std::size_t length;    // of a group; the last one may be shorter
  std::size_t stride;    // between the elements of a group; 1: groups are one behind the other
  std::size_t elements;  // all groups together
  std::size_t next = 0;  // from `begin` to the unit that is read after it; 0: that is not known

  Unit behind_first(std::size_t count) const {
    return {.first_group = first_group + count,
            .groups = groups - count,
            .begin = begin + count * (stride == 1 ? length : 1),
            .length = length,
            .stride = stride,
            .elements = elements - count * length};
  }
};

// Consecutive elements that share a scale, or whose scales lie side by side.
struct Run {
  std::size_t group;
  std::size_t count;
  bool varies;
};

// The runs of a tensor from an element on, which alone takes divisions.
class Runs {
 public:
  Runs(const Grouping& grouping, std::size_t index)
      : grouping_(grouping), k_(index / grouping.axis.inner % grouping.axis.length) {
    const auto& [outer, length, inner] = grouping.axis;
    const std::size_t i = index % inner, group = grouping.group_of(index);
    if (grouping.by_index) {
      run_ = inner > 1 ? Run{group, inner - i, false} : Run{group, length - k_, true};
    } else if (inner > 1) {
      in_block_ = k_ % grouping.block;
      row_ = group - i;
      run_ = {group, inner - i, true};
    } else {
      run_ = {group, std::min(grouping.block - k_ % grouping.block, length - k_), false};
    }
  }

  const Run& run() const { return run_; }

  void next() {
    const auto& [outer, length, inner] = grouping_.axis;
    if (grouping_.by_index) {
      k_ = inner == 1 || k_ + 1 == length ? 0 : k_ + 1;
      run_ = inner > 1 ? Run{k_, inner, false} : Run{0, length, true};
    } else if (inner > 1) {
      k_ = k_ + 1 == length ? 0 : k_ + 1;
      in_block_ = k_ == 0 || in_block_ + 1 == grouping_.block ? 0 : in_block_ + 1;
      if (in_block_ == 0) row_ += inner;
      run_ = {row_, inner, true};
    } else {
      k_ = k_ + run_.count == length ? 0 : k_ + run_.count;
      run_ = {run_.group + 1, std::min(grouping_.block, length - k_), false};
    }
  }

 private:
  const Grouping& grouping_;
  std::size_t k_;
  std::size_t in_block_ = 0;  // rows of a block that lie side by side
  std::size_t row_ = 0;       // the first group of such a row
  Run run_ = {};
};

// Consecutive elements that one call of a kernel can quantize: runs with one scale each, one behind
// the other as their groups are; or rows of the same groups side by side.
struct Stretch {
  std::size_t group;
  std::size_t count;  // of a row
  std::size_t run;    // 1: each element of a row has its own
  std::size_t rows;

  bool is_worth_a_call() const {
    return run == 1 ? count >= kShortRun
                    : run % kWholeVectors == 0 || std::min(run, count) >= kShortRun;
  }
};

// The longest stretch of at most `most` elements that begins with an element of the tensor.
inline Stretch stretch_at(const Grouping& grouping, std::size_t index, std::size_t most) {
  const auto& [outer, length, inner] = grouping.axis;
  const std::size_t k = index / inner % length, i = index % inner;
  const std::size_t group = grouping.group_of(index), block = grouping.block;
  if (grouping.by_index == (inner == 1)) {
    const std::size_t row = inner == 1 ? length : inner, at = inner == 1 ? k : i;
    const std::size_t count = std::min(row - at, most);
    const std::size_t alike = inner == 1 ? most : std::min(block - k % block, length - k);
    return {group, count, 1, at == 0 ? std::clamp<std::size_t>(most / row, 1, alike) : 1};
  }
  const std::size_t run = inner == 1 ? block : inner, at = inner == 1 ? k % block : i;
  const std::size_t line = std::min((length - k) * inner - i, most);
  const std::size_t count = at == 0 ? line : std::min(line, run - at);
  return {group, count, at == 0 ? run : count, 1};
}

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_RUNS_OF_SCALES_H_
