#include "tensorquant/formats/facts.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <variant>

namespace tensorquant {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
FormatFacts facts_of(const Identity&) {
  return {.lowest = -kInfinity, .highest = kInfinity};
}

// How many of the integers 1 to 2^bits - 1 a type with significands of `digits` bits has: below
// 2^digits all, above it as many in each power of two.
std::uint64_t integers_below_power(int bits, int digits) {
  const int exact = std::min(bits, digits);
  return (std::uint64_t{1} << exact) - 1 +
         static_cast<std::uint64_t>(bits - exact) * (std::uint64_t{1} << (digits - 1));
}

template <class T>
FormatFacts facts_of(const FixedPoint& f) {
  constexpr int kDigits = std::numeric_limits<T>::digits;
  const auto [lowest, highest] = bounds<T>(f);
  const double step = std::ldexp(1.0, -f.fraction);
  return {.lowest = lowest,
          .highest = highest,
          .smallest_positive = f.bits > 1 ? std::optional(step) : std::nullopt,
          .step = f.bits - 1 <= kDigits ? std::optional(step) : std::nullopt,
          .count = 2 * integers_below_power(f.bits - 1, kDigits) + 2};  // and 0 and the lowest
}

// The values of a float of one sign, 0 included.
std::uint64_t values_of_a_sign(const FloatingPoint& f) {
  // All exponent fields but the last, which is for infinity and NaN.
  return ((std::uint64_t{1} << f.exponent_bits) - 1) << f.significand_bits;
}

template <class T>
FormatFacts facts_of(const FloatingPoint& f) {
  return {.lowest = -f.largest(),
          .highest = f.largest(),
          .smallest_positive = f.smallest(),
          .count = 2 * values_of_a_sign(f) - 1};
}

template <class T>
FormatFacts facts_of(const Logarithmic& f) {
  const auto [lowest, highest] = bounds<T>(f);
  const int least = min_exponent<T>(f);
  return {.lowest = lowest,
          .highest = highest,
          .smallest_positive = std::ldexp(1.0, least),
          .count = 2 * static_cast<std::uint64_t>(max_exponent<T>(f) - least + 1) + 1};
}

template <class T>
FormatFacts facts_of(const Sparse& f) {
  const T threshold = static_cast<T>(f.threshold);
  return {.lowest = -kInfinity,
          .highest = kInfinity,
          .smallest_positive = threshold > 0 ? std::optional<double>(threshold) : std::nullopt};
}

template <class T>
FormatFacts facts_of(const Binary& f) {
  const double magnitude = static_cast<T>(f.magnitude);
  return {.lowest = -magnitude,
          .highest = magnitude,
          .smallest_positive = magnitude,
          .step = 2 * magnitude,
          .count = 2};
}

template <class T>
FormatFacts facts_of(const Ternary& f) {
  const double magnitude = static_cast<T>(f.magnitude);
  return {.lowest = -magnitude,
          .highest = magnitude,
          .smallest_positive = magnitude,
          .step = magnitude,
          .count = 3};
}

// In ascending order.
template <class T>
struct PositiveValues {
  std::vector<double> operator()(const FloatingPoint& f) const {
    const std::uint64_t normal = std::uint64_t{1} << f.significand_bits;  // the first of them
    std::vector<double> found;
    for (std::uint64_t code = 1; code < values_of_a_sign(f); ++code) {
      const std::uint64_t exponent = std::max<std::uint64_t>(code / normal, 1);
      const std::uint64_t significand = code - (exponent - 1) * normal;
      found.push_back(
          std::ldexp(static_cast<double>(significand),
                     static_cast<int>(exponent) - 1 + f.min_exponent() - f.significand_bits));
    }
    return found;
  }
  std::vector<double> operator()(const Logarithmic& f) const {
    std::vector<double> found;
    for (int e = min_exponent<T>(f); e <= max_exponent<T>(f); ++e) {
      found.push_back(std::ldexp(1.0, e));
    }
    return found;
  }
  std::vector<double> operator()(const Ternary& f) const { return {static_cast<T>(f.magnitude)}; }
};

// Formats that are symmetric around a zero.
template <class T, class F>
std::vector<double> values_of(const F& f) {
  const std::vector<double> positive = PositiveValues<T>()(f);
  std::vector<double> all;
  for (auto y = positive.rbegin(); y != positive.rend(); ++y) all.push_back(-*y);
  all.push_back(0);
  all.insert(all.end(), positive.begin(), positive.end());
  return all;
}

template <class T>
std::vector<double> values_of(const FixedPoint& f) {
  std::vector<double> all;
  const auto last = static_cast<std::int64_t>(f.highest_integer());
  for (auto k = static_cast<std::int64_t>(f.lowest_integer()); k <= last; ++k) {
    const double value = std::ldexp(static_cast<double>(k), -f.fraction);
    if (static_cast<T>(value) == value) all.push_back(value);
  }
  return all;
}

template <class T>
std::vector<double> values_of(const Binary& f) {
  const double magnitude = static_cast<T>(f.magnitude);
  return {-magnitude, magnitude};
}
template <class T>
std::vector<double> values_of(const Identity&) {
  return {};
}
template <class T>
std::vector<double> values_of(const Sparse&) {
  return {};
}

// Powers of two: the exponents that the type has.
int lowest_exponent(const FloatingPoint& type) {
  return type.min_exponent() - type.significand_bits;
}

bool fits_in(const Identity&, const FloatingPoint&) { return true; }
bool fits_in(const Sparse&, const FloatingPoint&) { return true; }

bool fits_in(const FixedPoint& f, const FloatingPoint& type) {
  return f.bits - 1 <= type.significand_bits + 1 && -f.fraction >= lowest_exponent(type) &&
         f.bits - 1 - f.fraction <= type.max_exponent();
}

bool fits_in(const FloatingPoint& f, const FloatingPoint& type) {
  return f.significand_bits <= type.significand_bits && f.max_exponent() <= type.max_exponent() &&
         lowest_exponent(f) >= lowest_exponent(type);
}

// Results are neither below the smallest number of the type nor above the format's largest.
bool fits_in(const Logarithmic& f, const FloatingPoint& type) {
  const int highest = max_exponent<float>(f);
  return lowest_exponent(type) <= highest && highest <= type.max_exponent();
}

bool has_value(const FloatingPoint& type, double magnitude) {
  const float x = static_cast<float>(magnitude);
  return quantize_reference(type, x) == x;
}
bool fits_in(const Binary& f, const FloatingPoint& type) { return has_value(type, f.magnitude); }
bool fits_in(const Ternary& f, const FloatingPoint& type) { return has_value(type, f.magnitude); }

}  // namespace

template <class T>
FormatFacts facts(const Format& format) {
  return std::visit([](const auto& f) { return facts_of<T>(f); }, format);
}

bool fits(const Format& format, const FloatingPoint& type) {
  return std::visit([&](const auto& f) { return fits_in(f, type); }, format);
}

template <class T>
std::vector<double> values(const Format& format, std::size_t at_most) {
  const std::optional<std::uint64_t> count = facts<T>(format).count;
  if (!count || *count > at_most) return {};
  return std::visit([](const auto& f) { return values_of<T>(f); }, format);
}

template FormatFacts facts<float>(const Format& format);
template FormatFacts facts<double>(const Format& format);
template std::vector<double> values<float>(const Format& format, std::size_t at_most);
template std::vector<double> values<double>(const Format& format, std::size_t at_most);

}  // namespace tensorquant
