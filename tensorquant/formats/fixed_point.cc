#include "tensorquant/formats/fixed_point.h"

#include "tensorquant/formats/floating_point.h"

namespace tensorquant {
namespace {

// How many of the integers 1 to 2^bits - 1 a type with significands of `digits` bits has: below
// 2^digits all, above it as many in each power of two.
std::uint64_t integers_below_power(int bits, int digits) {
  const int exact = std::min(bits, digits);
  return (std::uint64_t{1} << exact) - 1 +
         static_cast<std::uint64_t>(bits - exact) * (std::uint64_t{1} << (digits - 1));
}

}  // namespace

template <class T>
FormatFacts facts(const FixedPoint& format) {
  constexpr int kDigits = std::numeric_limits<T>::digits;
  const auto [lowest, highest] = bounds<T>(format);
  const double step = std::ldexp(1.0, -format.fraction);
  const std::uint64_t positive = integers_below_power(format.magnitude_bits(), kDigits);
  const bool is_symmetric = format.overflow == FixedPoint::Overflow::symmetric;
  return {.lowest = lowest,
          .highest = highest,
          .smallest_positive = format.magnitude_bits() > 0 ? std::optional(step) : std::nullopt,
          .step = format.magnitude_bits() <= kDigits ? std::optional(step) : std::nullopt,
          .count = format.is_unsigned ? positive + 1 : 2 * positive + (is_symmetric ? 1 : 2),
          .bits = format.bits};
}

template <class T>
std::vector<double> values(const FixedPoint& format) {
  std::vector<double> all;
  const auto last = static_cast<std::int64_t>(format.highest_integer());
  for (auto k = static_cast<std::int64_t>(format.lowest_integer()); k <= last; ++k) {
    const double value = std::ldexp(static_cast<double>(k), -format.fraction);
    if (static_cast<T>(value) == value) all.push_back(value);
  }
  return all;
}

bool fits(const FixedPoint& format, const FloatingPoint& type) {
  return format.magnitude_bits() <= type.significand_bits + 1 &&
         -format.fraction >= type.last_bit() &&
         format.bits - 1 - format.fraction <= type.max_exponent();
}

template FormatFacts facts<float>(const FixedPoint&);
template FormatFacts facts<double>(const FixedPoint&);
template std::vector<double> values<float>(const FixedPoint&);
template std::vector<double> values<double>(const FixedPoint&);

}  // namespace tensorquant
