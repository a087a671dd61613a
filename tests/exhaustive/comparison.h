#ifndef TESTS_EXHAUSTIVE_COMPARISON_H_
#define TESTS_EXHAUSTIVE_COMPARISON_H_

#include <cstdint>
#include <string>

#include "tests/exhaustive/report.h"

namespace tensorquant {

// Both compare the kernels of a quantizer with its reference, bit for bit, print the first
// differences and return how many there are.

// All 2^32 bit patterns, each with a random word if there are any. A reference moves in one
// direction over patterns in order, so where the kernel gives one result for many in a row the
// reference is asked for the first and the last of them alone; where that is not so (where wrap
// begins anew; a threshold of the tensor's own), and for `asks_everywhere`, it is asked for each.
std::uint64_t compare_all(const std::string& spec, int threads, bool asks_everywhere);

// Every stride-th pattern, in tensors that have numbers of all sizes and kinds side by side, each
// with other random words.
std::uint64_t compare_sample(const std::string& spec, int threads, std::uint32_t stride);

// How many patterns compare_sample() takes.
constexpr std::uint64_t sample_size(std::uint32_t stride) {
  return (kPatterns + stride - 1) / stride;
}

}  // namespace tensorquant

#endif  // TESTS_EXHAUSTIVE_COMPARISON_H_
