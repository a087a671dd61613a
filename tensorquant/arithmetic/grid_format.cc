#include "tensorquant/arithmetic/grid_format.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

namespace tensorquant {
namespace {

constexpr FloatingPoint kBinary32 = {.exponent_bits = 8, .significand_bits = 23};

// The roundings of a bound's own computation in double.
constexpr double kSlack = 1 + 1e-6;

template <class T>
Bounds<double> ends(const Identity&) {
  constexpr double kLargest = std::numeric_limits<T>::max();
  return {-kLargest, kLargest};
}
template <class T>
Bounds<double> ends(const FixedPoint& format) {
  return bounds<double>(format);
}
template <class T>
Bounds<double> ends(const FloatingPoint& format) {
  return bounds<double>(format);
}
template <class T>
Bounds<double> ends(const Logarithmic& format) {
  const Bounds<T> own = bounds<T>(format);
  return {own.lowest, own.highest};
}
template <class T>
Bounds<double> ends(const Posit& format) {
  return bounds<double>(format);
}
template <class T>
Bounds<double> ends(const P3109& format) {
  return bounds<double>(format);
}

// Infinite where converting a value of the format to T, ties to even, leaves no end of the format.
template <class T>
Bounds<T> limits(const FixedPoint& format) {
  return bounds<T>(format);
}
template <class T>
Bounds<T> no_limits() {
  return {-std::numeric_limits<T>::infinity(), std::numeric_limits<T>::infinity()};
}
template <class T>
Bounds<T> limits(const Identity&) {
  return no_limits<T>();
}
template <class T>
Bounds<T> limits(const FloatingPoint&) {
  return no_limits<T>();
}
template <class T>
Bounds<T> limits(const Logarithmic&) {
  return no_limits<T>();
}
template <class T>
Bounds<T> limits(const Posit&) {
  return no_limits<T>();
}
template <class T>
Bounds<T> limits(const P3109&) {
  return no_limits<T>();
}

GridFormat of_float32(const Identity&) { return kBinary32; }
GridFormat of_float32(const FixedPoint& format) { return format; }
GridFormat of_float32(const FloatingPoint& format) { return format; }
GridFormat of_float32(Logarithmic format) {
  const int lowest = min_exponent<float>(format), highest = max_exponent<float>(format);
  format.min_exponent = lowest;
  format.max_exponent = highest;
  return format;
}
GridFormat of_float32(const Posit& format) { return format; }
GridFormat of_float32(const P3109& format) { return format; }

bool is_alike(const Identity&) { return false; }
bool is_alike(const FixedPoint&) { return true; }
bool is_alike(const FloatingPoint&) { return true; }
bool is_alike(const Logarithmic& format) {
  return min_exponent<float>(format) == min_exponent<double>(format) &&
         max_exponent<float>(format) == max_exponent<double>(format);
}
bool is_alike(const Posit&) { return true; }
bool is_alike(const P3109&) { return true; }

bool odd_is_enough(const Identity&) { return true; }
bool odd_is_enough(const FixedPoint& format) {
  return !format.wraps() && format.bits <= (format.rounding == Rounding::stochastic ? 26 : 50);
}
bool odd_is_enough(const FloatingPoint&) { return true; }
// The root of two, a border, is no double: an odd neighbour may lie beyond it.
bool odd_is_enough(const Logarithmic& format) {
  return format.rounding != Logarithmic::Rounding::exponent;
}
// Borders are posits of one bit more, where bits of the exponent are lost, too: powers of two
// there.
bool odd_is_enough(const Posit&) { return true; }
bool odd_is_enough(const P3109&) { return true; }

std::optional<int> modulus(const Identity&) { return std::nullopt; }
std::optional<int> modulus(const FixedPoint& format) {
  if (!format.wraps()) return std::nullopt;
  const bool looks_at_lost_bit = format.overflow == FixedPoint::Overflow::sign_magnitude;
  return format.bits - format.fraction + (looks_at_lost_bit ? 2 : 1);
}
std::optional<int> modulus(const FloatingPoint&) { return std::nullopt; }
std::optional<int> modulus(const Logarithmic&) { return std::nullopt; }
std::optional<int> modulus(const Posit&) { return std::nullopt; }
std::optional<int> modulus(const P3109&) { return std::nullopt; }

int last_bit_of(const Identity&) { return kBinary32.last_bit(); }
int last_bit_of(const FixedPoint& format) { return -format.fraction; }
int last_bit_of(const FloatingPoint& format) { return format.last_bit(); }
int last_bit_of(const Logarithmic& format) { return min_exponent<float>(format); }
// A regime more brings its power of two, and no more than one bit of the fraction.
int last_bit_of(const Posit& format) { return -format.largest_exponent(); }
int last_bit_of(const P3109& format) { return format.last_bit(); }

// How many bits of the fraction the posits with this exponent have; -1 where the exponent loses
// bits, or is out of range.
int fraction_bits(const Posit& format, int exponent) {
  const int regime = exponent >> format.exponent_bits;  // of arithmetic: rounds down
  return std::max(format.bits_behind(regime) - format.exponent_bits, -1);
}

bool keeps_all(const FloatingPoint& format, const NumberRange& numbers) {
  return numbers.bits <= format.significand_bits + 1 && numbers.last_bit >= format.last_bit() &&
         numbers.largest <= format.largest();
}
bool keeps_all(const Identity&, const NumberRange& numbers) {
  return keeps_all(kBinary32, numbers);
}
bool keeps_all(const FixedPoint& format, const NumberRange& numbers) {
  return !format.is_unsigned && numbers.last_bit >= -format.fraction &&
         numbers.largest <= std::ldexp(format.highest_integer(), -format.fraction);
}
bool keeps_all(const Logarithmic&, const NumberRange&) { return false; }  // powers of two alone
bool keeps_all(const Posit& format, const NumberRange& numbers) {
  for (int e = numbers.last_bit; !(std::ldexp(1.0, e) > numbers.largest); ++e) {
    const int bits = std::min(numbers.bits, e - numbers.last_bit + 1);  // of those with exponent e
    if (fraction_bits(format, e) < std::max(bits - 1, 0)) return false;
  }
  return true;
}
bool keeps_all(const P3109& format, const NumberRange& numbers) {
  return !format.is_unsigned && numbers.bits <= format.precision &&
         numbers.last_bit >= format.last_bit() && numbers.largest <= format.largest();
}

double rounded_bound(const Identity&, double sum, double) { return sum; }  // an exact product
double rounded_bound(const FixedPoint& format, double sum, double count) {
  return sum + count * std::ldexp(1.0, -format.fraction) * kSlack;
}
double rounded_bound(const FloatingPoint& format, double sum, double count) {
  return (sum * (1 + std::ldexp(1.0, -format.significand_bits)) + count * format.smallest()) *
         kSlack;
}
double rounded_bound(const Logarithmic&, double sum, double) { return 2 * sum; }
// Neighbours are no further apart than two regimes, and the border between these is their geometric
// mean (without bits of the exponent their mean, from which it is less far to the upper one).
double rounded_bound(const Posit& format, double sum, double count) {
  const double regime = std::ldexp(1.0, 1 << format.exponent_bits);
  return (sum * std::sqrt(regime) + count * format.smallest()) * kSlack;
}
double rounded_bound(const P3109& format, double sum, double count) {
  return (sum * (1 + std::ldexp(1.0, 1 - format.precision)) + count * format.value(1)) * kSlack;
}

}  // namespace

std::optional<GridFormat> grid_format(const Format& format) {
  return std::visit(
      [](const auto& f) -> std::optional<GridFormat> {
        if constexpr (std::decay_t<decltype(f)>::is_grid) {
          return fits_doubles(f) ? std::optional<GridFormat>(f) : std::nullopt;
        } else {
          return std::nullopt;
        }
      },
      format);
}

Draw draw(const GridFormat& format, const RandomStream& random, std::uint64_t index,
          std::uint32_t tap) {
  return std::visit(
      [&](const auto& f) -> Draw {
        if constexpr (TakesDraw<std::decay_t<decltype(f)>>) {
          if (!is_random(f)) return {};
          return {draws_half_words(f.random_bits) ? random_half_word(random, index, tap)
                                                  : random_word(random, index, tap),
                  f.random_bits};
        } else {
          return {};
        }
      },
      format);
}

template <class T>
Bounds<double> ends_of(const GridFormat& format) {
  return std::visit([](const auto& f) { return ends<T>(f); }, format);
}

template <class T>
Bounds<T> limits_in_type(const GridFormat& format) {
  return std::visit([](const auto& f) { return limits<T>(f); }, format);
}

template <class T>
T to_type(const GridFormat& format, double x) {
  if (std::isnan(x)) return std::numeric_limits<T>::quiet_NaN();
  const Bounds<T> limits = limits_in_type<T>(format);
  return std::clamp(static_cast<T>(x), limits.lowest, limits.highest);
}

GridFormat in_double(const GridFormat& format) {
  return std::visit([](const auto& f) { return of_float32(f); }, format);
}

bool is_of_any_tensor(const GridFormat& format) {
  return std::visit([](const auto& f) { return is_alike(f); }, format);
}

bool takes_odd(const GridFormat& format) {
  return std::visit([](const auto& f) { return odd_is_enough(f); }, format);
}

bool is_float32(const GridFormat& format) {
  const GridFormat of_doubles = in_double(format);
  const auto* f = std::get_if<FloatingPoint>(&of_doubles);
  return f != nullptr && f->significand_bits == kBinary32.significand_bits &&
         f->min_exponent() == kBinary32.min_exponent() &&
         f->max_exponent() == kBinary32.max_exponent() && f->rounding == kBinary32.rounding;
}

std::optional<int> modulus_of(const GridFormat& format) {
  return std::visit([](const auto& f) { return modulus(f); }, format);
}

int last_bit(const GridFormat& format) {
  return std::visit([](const auto& f) { return last_bit_of(f); }, format);
}

bool keeps(const GridFormat& format, const NumberRange& numbers) {
  return std::visit([&](const auto& f) { return keeps_all(f, numbers); }, format);
}

double bound_after_rounding(const GridFormat& format, double sum, double count) {
  return std::visit([&](const auto& f) { return rounded_bound(f, sum, count); }, format);
}

template Bounds<double> ends_of<float>(const GridFormat&);
template Bounds<double> ends_of<double>(const GridFormat&);
template Bounds<float> limits_in_type<float>(const GridFormat&);
template Bounds<double> limits_in_type<double>(const GridFormat&);
template float to_type<float>(const GridFormat&, double);
template double to_type<double>(const GridFormat&, double);

}  // namespace tensorquant
