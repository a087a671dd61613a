#include "tensorquant/formats/logarithmic.h"

#include <cstdint>

#include "tensorquant/formats/floating_point.h"

namespace tensorquant {

Uint128 border(const Logarithmic& format, int step) {
  const int roots = kRootSteps / format.steps();  // of kRootSteps in a step
  const int below = step * roots;
  switch (format.rounding) {
    case Logarithmic::Rounding::down:
      return root_of_two(below + roots);
    case Logarithmic::Rounding::exponent:
      return root_of_two(below + roots / 2);
    case Logarithmic::Rounding::nearest:
      break;
  }
  return (root_of_two(below) + root_of_two(below + roots)) / 2;
}

int borders_reached(const Logarithmic& format, Uint128 significand) {
  int reached = 0, above = format.steps();  // the first that is not reached lies between
  while (reached < above) {
    const int middle = (reached + above) / 2;
    significand >= border(format, middle) ? reached = middle + 1 : above = middle;
  }
  return reached;
}

namespace {

// Among subnormal numbers several powers are rounded to one.
template <class T>
std::vector<double> positive_values(const Logarithmic& format, int from, int to) {
  std::vector<double> positive;
  for (int k = from; k <= to; ++k) {
    const double value = power_of_two_in_steps<T>(format, k);
    if (positive.empty() || positive.back() < value) positive.push_back(value);
  }
  return positive;
}

}  // namespace

template <class T>
FormatFacts facts(const Logarithmic& format) {
  const auto [lowest, highest] = bounds<T>(format);
  const int first = min_exponent<T>(format) * format.steps();
  const int last = max_exponent<T>(format) * format.steps();
  const int first_normal = (std::numeric_limits<T>::min_exponent - 1) * format.steps();
  const int last_counted = std::min(last, std::max(first, first_normal));
  const auto counted = positive_values<T>(format, first, last_counted).size();
  return {.lowest = lowest,
          .highest = highest,
          .smallest_positive = std::ldexp(1.0, min_exponent<T>(format)),
          .count = 2 * (counted + static_cast<std::uint64_t>(last - last_counted)) + 1};
}

template <class T>
std::vector<double> values(const Logarithmic& format) {
  return symmetric_values(positive_values<T>(format, min_exponent<T>(format) * format.steps(),
                                             max_exponent<T>(format) * format.steps()));
}

// Results are neither below the smallest number of the type nor above the format's largest.
bool fits(const Logarithmic& format, const FloatingPoint& type) {
  const int highest = max_exponent<float>(format);
  return format.fraction == 0 && type.last_bit() <= highest && highest <= type.max_exponent();
}

template FormatFacts facts<float>(const Logarithmic&);
template FormatFacts facts<double>(const Logarithmic&);
template std::vector<double> values<float>(const Logarithmic&);
template std::vector<double> values<double>(const Logarithmic&);

}  // namespace tensorquant
