#ifndef TENSORQUANT_FORMATS_FACTS_H_
#define TENSORQUANT_FORMATS_FACTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tensorquant/formats/format.h"

namespace tensorquant {

// What a designer asks of a format first. For a float64 tensor; float32 has all these values but
// where it says otherwise in bounds<float>().
struct FormatFacts {
  double lowest;  // finite extreme values; infinite where the format has none
  double highest;
  std::optional<double> smallest_positive = {};  // nothing where it is the tensor type's own
  std::optional<double> step = {};  // the distance between neighbours, where it is one everywhere
  std::optional<std::uint64_t> count =
      {};  // of finite values, +0 and -0 counted once; nothing where it is the tensor type's own
};

FormatFacts facts(const Format& format);

// Whether the float type has every finite value that the format gives to numbers of that type.
bool fits(const Format& format, const FloatingPoint& type);

// All finite values in ascending order, +0 and -0 as one; empty where they are more than `at_most`,
// or the tensor type's own.
std::vector<double> values(const Format& format, std::size_t at_most);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_FACTS_H_
