#include "tensorquant/formats/floating_point.h"

#include <cstdint>

namespace tensorquant {
namespace {

// The values of one sign, 0 included.
std::uint64_t values_of_a_sign(const FloatingPoint& format) {
  const auto fields = static_cast<std::uint64_t>(format.max_field()) + 1;
  return (fields << format.significand_bits) - (format.special == FloatingPoint::Special::fn);
}

}  // namespace

template <class T>
FormatFacts facts(const FloatingPoint& format) {
  return {.lowest = -format.largest(),
          .highest = format.largest(),
          .smallest_positive = format.smallest(),
          .count = 2 * values_of_a_sign(format) - 1,
          .bits = 1 + format.exponent_bits + format.significand_bits};
}

template <class T>
std::vector<double> values(const FloatingPoint& format) {
  const std::uint64_t normal = std::uint64_t{1} << format.significand_bits;  // the first of them
  std::vector<double> positive;
  for (std::uint64_t code = 1; code < values_of_a_sign(format); ++code) {
    const std::uint64_t exponent = std::max<std::uint64_t>(code / normal, 1);
    const std::uint64_t significand = code - (exponent - 1) * normal;
    positive.push_back(std::ldexp(static_cast<double>(significand),
                                  static_cast<int>(exponent) - 1 + format.last_bit()));
  }
  return symmetric_values(positive);
}

bool fits(const FloatingPoint& format, const FloatingPoint& type) {
  return format.significand_bits <= type.significand_bits &&
         format.max_exponent() <= type.max_exponent() && format.last_bit() >= type.last_bit();
}

bool has_value(const FloatingPoint& format, double x) {
  const float value = static_cast<float>(x);
  return quantize_reference(format, value) == value;
}

template FormatFacts facts<float>(const FloatingPoint&);
template FormatFacts facts<double>(const FloatingPoint&);
template std::vector<double> values<float>(const FloatingPoint&);
template std::vector<double> values<double>(const FloatingPoint&);

}  // namespace tensorquant
