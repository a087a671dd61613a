#ifndef TENSORQUANT_BENCH_ELEMENTWISE_TARGETS_H_
#define TENSORQUANT_BENCH_ELEMENTWISE_TARGETS_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/measure/elementwise.h"

namespace tensorquant::bench {

// What the kernels are to reach for one size of tensor and number of threads.
struct Target {
  std::string what;
  std::size_t elements;
  int threads;
  std::string other;  // the copy that ours may take so many times as long as, or the rival that
                      // takes so many times as long as ours
  double ratio;       // at most for a copy, at least for a rival
  std::vector<std::string> quantizers;  // the worst of them counts
  int axis = 1;                         // along which blocks and rows run
};

const std::vector<Target>& targets();

// A row of Markdown for each target: what was measured, and whether it is met. A rival that this
// build does not have is said to be missing.
std::string to_markdown(std::span<const Target> targets,
                        std::span<const measure::Measurement> measurements);

}  // namespace tensorquant::bench

#endif  // TENSORQUANT_BENCH_ELEMENTWISE_TARGETS_H_
