#include "tensorquant/formats/binary.h"

#include "tensorquant/formats/floating_point.h"

namespace tensorquant {

template <class T>
FormatFacts facts(const Binary& format) {
  const double magnitude = static_cast<T>(format.magnitude);
  return {.lowest = -magnitude,
          .highest = magnitude,
          .smallest_positive = magnitude,
          .step = 2 * magnitude,
          .count = 2};
}

template <class T>
std::vector<double> values(const Binary& format) {
  const double magnitude = static_cast<T>(format.magnitude);
  return {-magnitude, magnitude};
}

bool fits(const Binary& format, const FloatingPoint& type) {
  return has_value(type, format.magnitude);
}

template FormatFacts facts<float>(const Binary&);
template FormatFacts facts<double>(const Binary&);
template std::vector<double> values<float>(const Binary&);
template std::vector<double> values<double>(const Binary&);

}  // namespace tensorquant
