#include "tensorquant/formats/facts.h"

#include <cmath>
#include <limits>
#include <variant>

namespace tensorquant {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

FormatFacts facts_of(const Identity&) { return {.lowest = -kInfinity, .highest = kInfinity}; }

FormatFacts facts_of(const FixedPoint& f) {
  const auto [lowest, highest] = bounds<double>(f);
  const double step = std::ldexp(1.0, -f.fraction);
  return {.lowest = lowest,
          .highest = highest,
          .smallest_positive = f.bits > 1 ? std::optional(step) : std::nullopt,
          .step = step,
          .count = std::uint64_t{1} << f.bits};
}

FormatFacts facts_of(const FloatingPoint& f) {
  // Each sign has all exponent fields but the last, which is for infinity and NaN; the two zeros
  // are one value.
  const std::uint64_t per_sign = ((std::uint64_t{1} << f.exponent_bits) - 1) << f.significand_bits;
  return {.lowest = -f.largest(),
          .highest = f.largest(),
          .smallest_positive = f.smallest(),
          .count = 2 * per_sign - 1};
}

FormatFacts facts_of(const Logarithmic& f) {
  const auto [lowest, highest] = bounds<double>(f);
  return {.lowest = lowest,
          .highest = highest,
          .smallest_positive = std::ldexp(1.0, f.min_exponent),
          .count = 2 * static_cast<std::uint64_t>(f.max_exponent - f.min_exponent + 1) + 1};
}

FormatFacts facts_of(const Sparse& f) {
  return {.lowest = -kInfinity,
          .highest = kInfinity,
          .smallest_positive = f.threshold > 0 ? std::optional(f.threshold) : std::nullopt};
}

FormatFacts facts_of(const Binary& f) {
  return {.lowest = -f.magnitude,
          .highest = f.magnitude,
          .smallest_positive = f.magnitude,
          .step = 2 * f.magnitude,
          .count = 2};
}

FormatFacts facts_of(const Ternary& f) {
  return {.lowest = -f.magnitude,
          .highest = f.magnitude,
          .smallest_positive = f.magnitude,
          .step = f.magnitude,
          .count = 3};
}

// In ascending order.
struct PositiveValues {
  std::vector<double> operator()(const FloatingPoint& f) const {
    std::vector<double> found;
    for (double y = f.smallest(); y <= f.largest(); y += step(f, y)) found.push_back(y);
    return found;
  }
  std::vector<double> operator()(const Logarithmic& f) const {
    std::vector<double> found;
    for (int e = f.min_exponent; e <= f.max_exponent; ++e) found.push_back(std::ldexp(1.0, e));
    return found;
  }
  std::vector<double> operator()(const Ternary& f) const { return {f.magnitude}; }

  static double step(const FloatingPoint& f, double y) {
    return std::ldexp(1.0, std::max(std::ilogb(y), f.min_exponent()) - f.significand_bits);
  }
};

// Formats that are symmetric around a zero.
template <class F>
std::vector<double> values_of(const F& f) {
  const std::vector<double> positive = PositiveValues()(f);
  std::vector<double> all;
  for (auto y = positive.rbegin(); y != positive.rend(); ++y) all.push_back(-*y);
  all.push_back(0);
  all.insert(all.end(), positive.begin(), positive.end());
  return all;
}

std::vector<double> values_of(const FixedPoint& f) {
  std::vector<double> all;
  for (double k = f.lowest_integer(); k <= f.highest_integer(); ++k) {
    all.push_back(std::ldexp(k, -f.fraction) + 0.0);
  }
  return all;
}

std::vector<double> values_of(const Binary& f) { return {-f.magnitude, f.magnitude}; }
std::vector<double> values_of(const Identity&) { return {}; }
std::vector<double> values_of(const Sparse&) { return {}; }

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

FormatFacts facts(const Format& format) {
  return std::visit([](const auto& f) { return facts_of(f); }, format);
}

bool fits(const Format& format, const FloatingPoint& type) {
  return std::visit([&](const auto& f) { return fits_in(f, type); }, format);
}

std::vector<double> values(const Format& format, std::size_t at_most) {
  const std::optional<std::uint64_t> count = facts(format).count;
  if (!count || *count > at_most) return {};
  return std::visit([](const auto& f) { return values_of(f); }, format);
}

}  // namespace tensorquant
