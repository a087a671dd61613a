#include "tensorquant/formats/additive_powers.h"

#include "tensorquant/formats/floating_point.h"

namespace tensorquant {

std::vector<double> AdditivePowers::magnitudes() const {
  std::vector<double> sums = {0};
  for (int i = 0; i < terms(); ++i) {
    std::vector<double> longer = sums;
    for (int power = i; power < 3 * terms(); power += terms()) {
      for (const double sum : sums) longer.push_back(sum + std::ldexp(1.0, -power));
    }
    sums = longer;
  }
  std::sort(sums.begin(), sums.end());
  return sums;
}

template <class T>
FormatFacts facts(const AdditivePowers& format) {
  const auto [lowest, highest] = bounds<T>(format);
  const std::vector<double> magnitudes = format.magnitudes();
  return {.lowest = lowest,
          .highest = highest,
          .smallest_positive = magnitudes[1],
          .count = (format.is_unsigned ? 1 : 2) * (magnitudes.size() - 1) + 1};
}

template <class T>
std::vector<double> values(const AdditivePowers& format) {
  std::vector<double> magnitudes = format.magnitudes();
  if (format.is_unsigned) return magnitudes;
  magnitudes.erase(magnitudes.begin());  // zero
  return symmetric_values(magnitudes);
}

bool fits(const AdditivePowers& format, const FloatingPoint& type) {
  return std::ranges::all_of(format.magnitudes(),
                             [&](double value) { return has_value(type, value); });
}

template FormatFacts facts<float>(const AdditivePowers&);
template FormatFacts facts<double>(const AdditivePowers&);
template std::vector<double> values<float>(const AdditivePowers&);
template std::vector<double> values<double>(const AdditivePowers&);

}  // namespace tensorquant
