#include "tensorquant/formats/p3109.h"

#include "tensorquant/formats/floating_point.h"

namespace tensorquant {

template <class T>
FormatFacts facts(const P3109& format) {
  const auto positive = static_cast<std::uint64_t>(format.last_code());
  const double largest = format.largest();
  return {.lowest = format.is_unsigned ? 0 : 0 - largest,
          .highest = largest,
          .smallest_positive = positive > 0 ? std::optional(format.value(1)) : std::nullopt,
          .count = (format.is_unsigned ? 1 : 2) * positive + 1};
}

template <class T>
std::vector<double> values(const P3109& format) {
  std::vector<double> positive;
  for (int code = 1; code <= format.last_code(); ++code) positive.push_back(format.value(code));
  if (!format.is_unsigned) return symmetric_values(positive);
  positive.insert(positive.begin(), 0);
  return positive;
}

bool fits(const P3109& format, const FloatingPoint& type) {
  const double largest = format.largest();
  return largest == 0 || (format.precision - 1 <= type.significand_bits &&
                          largest <= type.largest() && format.value(1) >= type.smallest());
}

template FormatFacts facts<float>(const P3109&);
template FormatFacts facts<double>(const P3109&);
template std::vector<double> values<float>(const P3109&);
template std::vector<double> values<double>(const P3109&);

}  // namespace tensorquant
