#include "tensorquant/formats/posit.h"

#include <algorithm>
#include <bit>

#include "tensorquant/formats/floating_point.h"

namespace tensorquant {

std::uint32_t nearest_posit(const Posit& format, double magnitude) {
  if (magnitude <= format.smallest()) return 1;
  if (magnitude >= format.largest()) return (std::uint32_t{1} << (format.bits - 1)) - 1;
  constexpr int kFraction = 52;
  const int power = std::ilogb(magnitude);
  const int regime = power >> format.exponent_bits;  // of arithmetic: rounds down
  const int exponent = power - regime * (1 << format.exponent_bits);
  const std::uint64_t fraction = to_bits(magnitude) & ((std::uint64_t{1} << kFraction) - 1);
  const std::uint64_t run = regime < 0 ? 1 : (std::uint64_t{2} << (regime + 1)) - 2;
  const std::uint64_t behind = (static_cast<std::uint64_t>(exponent) << kFraction) + fraction;
  const int kept = format.bits_behind(regime);
  const int lost = kFraction + format.exponent_bits - kept;
  const std::uint64_t rest = behind & ((std::uint64_t{1} << lost) - 1);
  const std::uint64_t half = std::uint64_t{1} << (lost - 1);
  const std::uint64_t code = (run << kept) + (behind >> lost);
  const bool goes_up = rest > half || (rest == half && code % 2 == 1);
  return static_cast<std::uint32_t>(code + (goes_up ? 1 : 0));
}

double posit_value(const Posit& format, std::uint32_t code) {
  const int sign_and_above = 32 - format.bits + 1;
  const std::uint32_t string = code << sign_and_above;
  const bool ones = string >> 31 != 0;
  const int run =
      std::min(ones ? std::countl_one(string) : std::countl_zero(string), format.bits - 1);
  const int regime = ones ? run - 1 : -run;
  // What is behind the run, the exponent's bits on top; bits that are not there are zero.
  const std::uint64_t behind = static_cast<std::uint64_t>(string) << (run + 1) & 0xFFFFFFFF;
  const int exponent_shift = 32 - format.exponent_bits;
  const auto exponent = static_cast<int>(behind >> exponent_shift);
  const auto fraction = static_cast<double>(behind & ((std::uint64_t{1} << exponent_shift) - 1));
  return std::ldexp(1 + std::ldexp(fraction, -exponent_shift),
                    regime * (1 << format.exponent_bits) + exponent);
}

namespace {

// How many positive values T has. A string's bits behind the regime are counted through; where they
// are more than exponent and T's fraction, the rest is zero.
template <class T>
std::uint64_t positive_values(const Posit& format) {
  constexpr int kFraction = std::numeric_limits<T>::digits - 1;
  std::uint64_t count = 1;  // the largest, whose run has no end
  for (int regime = 2 - format.bits; regime <= format.bits - 3; ++regime) {
    count +=
        std::uint64_t{1} << std::min(format.bits_behind(regime), format.exponent_bits + kFraction);
  }
  return count;
}

}  // namespace

template <class T>
FormatFacts facts(const Posit& format) {
  return {.lowest = -format.largest(),
          .highest = format.largest(),
          .smallest_positive = format.smallest(),
          .count = 2 * positive_values<T>(format) + 1};
}

template <class T>
std::vector<double> values(const Posit& format) {
  std::vector<double> positive;
  for (std::uint32_t code = 1; code < std::uint32_t{1} << (format.bits - 1); ++code) {
    const double value = posit_value(format, code);
    if (static_cast<T>(value) == value) positive.push_back(value);
  }
  return symmetric_values(positive);
}

bool fits(const Posit& format, const FloatingPoint& type) {
  const int fraction = std::max(0, format.bits_behind(0) - format.exponent_bits);  // the longest
  return fraction <= type.significand_bits && format.largest_exponent() <= type.max_exponent() &&
         -format.largest_exponent() >= type.last_bit();
}

template FormatFacts facts<float>(const Posit&);
template FormatFacts facts<double>(const Posit&);
template std::vector<double> values<float>(const Posit&);
template std::vector<double> values<double>(const Posit&);

}  // namespace tensorquant
