#include "tensorquant/formats/ternary.h"

#include "tensorquant/formats/floating_point.h"

namespace tensorquant {

template <class T>
FormatFacts facts(const Ternary& format) {
  const double magnitude = static_cast<T>(format.magnitude);
  return {.lowest = -magnitude,
          .highest = magnitude,
          .smallest_positive = magnitude,
          .step = magnitude,
          .count = 3};
}

template <class T>
std::vector<double> values(const Ternary& format) {
  return symmetric_values({static_cast<T>(format.magnitude)});
}

bool fits(const Ternary& format, const FloatingPoint& type) {
  return has_value(type, format.magnitude);
}

template FormatFacts facts<float>(const Ternary&);
template FormatFacts facts<double>(const Ternary&);
template std::vector<double> values<float>(const Ternary&);
template std::vector<double> values<double>(const Ternary&);

}  // namespace tensorquant
