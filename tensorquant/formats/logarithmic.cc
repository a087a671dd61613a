#include "tensorquant/formats/logarithmic.h"

#include <cstdint>
#include "tensorquant/formats/floating_point.h"

namespace tensorquant {

template <class T>
FormatFacts facts(const Logarithmic& format) {
  const auto [lowest, highest] = bounds<T>(format);
  const int least = min_exponent<T>(format);
  return {.lowest = lowest,
          .highest = highest,
          .smallest_positive = std::ldexp(1.0, least),
          .count = 2 * static_cast<std::uint64_t>(max_exponent<T>(format) - least + 1) + 1};
}

template <class T>
std::vector<double> values(const Logarithmic& format) {
  std::vector<double> positive;
  for (int e = min_exponent<T>(format); e <= max_exponent<T>(format); ++e) {
    positive.push_back(std::ldexp(1.0, e));
  }
  return symmetric_values(positive);
}

// Results are neither below the smallest number of the type nor above the format's largest.
bool fits(const Logarithmic& format, const FloatingPoint& type) {
  const int highest = max_exponent<float>(format);
  return type.last_bit() <= highest && highest <= type.max_exponent();
}

template FormatFacts facts<float>(const Logarithmic&);
template FormatFacts facts<double>(const Logarithmic&);
template std::vector<double> values<float>(const Logarithmic&);
template std::vector<double> values<double>(const Logarithmic&);

}  // namespace tensorquant
