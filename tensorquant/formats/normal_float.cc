#include "tensorquant/formats/normal_float.h"

#include <algorithm>

#include "tensorquant/formats/floating_point.h"

namespace tensorquant {

template <class T>
FormatFacts facts(const NormalFloat4& format) {
  return {.lowest = -1,
          .highest = 1,
          .smallest_positive = *std::ranges::upper_bound(format.kValues, 0.0f),
          .count = format.kValues.size()};
}

template <class T>
std::vector<double> values(const NormalFloat4& format) {
  return {format.kValues.begin(), format.kValues.end()};
}

bool fits(const NormalFloat4& format, const FloatingPoint& type) {
  return std::ranges::all_of(format.kValues, [&](float value) { return has_value(type, value); });
}

template FormatFacts facts<float>(const NormalFloat4&);
template FormatFacts facts<double>(const NormalFloat4&);
template std::vector<double> values<float>(const NormalFloat4&);
template std::vector<double> values<double>(const NormalFloat4&);

}  // namespace tensorquant
