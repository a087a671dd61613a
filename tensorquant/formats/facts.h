#ifndef TENSORQUANT_FORMATS_FACTS_H_
#define TENSORQUANT_FORMATS_FACTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tensorquant/formats/format.h"

namespace tensorquant {

// What a designer asks of a format first.
struct FormatFacts {
  double lowest;  // finite extreme values; infinite where the format has none
  double highest;
  std::optional<double> smallest_positive = {};  // nothing where it is the tensor type's own
  std::optional<double> step = {};  // the distance between neighbours, where it is one everywhere
  std::optional<std::uint64_t> count =
      {};  // of finite values, +0 and -0 counted once; nothing where it is the tensor type's own
};

// Of the format in a tensor of type T, float or double: a type may lack some of its values.
template <class T>
FormatFacts facts(const Format& format);

// Whether the float type has every finite value that the format gives to numbers of that type.
bool fits(const Format& format, const FloatingPoint& type);

// All finite values in a tensor of type T, in ascending order, +0 and -0 as one; empty where they
// are more than `at_most`, or the tensor type's own.
template <class T>
std::vector<double> values(const Format& format, std::size_t at_most);

}  // namespace tensorquant

#endif  // TENSORQUANT_FORMATS_FACTS_H_
