#ifndef TENSORQUANT_FORMATS_FACTS_H_
#define TENSORQUANT_FORMATS_FACTS_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace tensorquant {

struct FloatingPoint;

// What a designer asks of a format first.
struct FormatFacts {
  double lowest;  // finite extreme values; infinite where the format has none
  double highest;
  std::optional<double> smallest_positive = {};  // nothing where it is the tensor type's own
  std::optional<double> step = {};  // the distance between neighbours, where it is one everywhere
  std::optional<std::uint64_t> count =
      {};  // of finite values, +0 and -0 counted once; nothing where it is the tensor type's own
  std::optional<int> bits =
      {};  // of a code in memory; nothing where they are the tensor type's own
};

// The fewest bits that tell so many values apart.
int bits_for(std::uint64_t count);

// Ascending positive numbers with their negatives and a zero, in ascending order.
std::vector<double> symmetric_values(const std::vector<double>& positive);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_FACTS_H_
