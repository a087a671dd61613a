#include "tensorquant/arithmetic/exact/exact_number.h"

#include <algorithm>
#include <cmath>

#include "tensorquant/arithmetic/exact/exact_sum.h"
#include "tensorquant/arithmetic/exact/natural.h"

namespace tensorquant {
namespace {

int bit_width(Uint128 x) {
  const auto high = static_cast<std::uint64_t>(x >> 64);
  return high != 0 ? 64 + std::bit_width(high) : std::bit_width(static_cast<std::uint64_t>(x));
}

// Numbers modulo 2^modulus are made with this many bits below it.
constexpr int kModulusBits = 110;

Uint128 bits_below(int position, const Natural& x) {
  return x.bits_from(0) & ((Uint128{1} << std::clamp(position, 0, kModulusBits)) - 1);
}

ExactNumber exact_root(const ExactNumber& x) {
  // As many bits as fit below 2^126 and an even exponent.
  int shift = 126 - bit_width(x.significand);
  shift -= (x.exponent - shift) & 1;
  const Uint128 radicand = x.significand << shift;
  Uint128 root = 0;
  for (int bit = 62; bit >= 0; --bit) {
    const Uint128 longer = root | (Uint128{1} << bit);
    if (longer * longer <= radicand) root = longer;
  }
  return {false, root, (x.exponent - shift) / 2, x.is_cut || root * root != radicand};
}

// The root of a + b.
ExactNumber exact_root_modulo(const ExactNumber& a, const ExactNumber& b, int modulus) {
  const int common = std::min(a.exponent, b.exponent);
  const auto in_units = [&](const ExactNumber& x) {
    return Natural(static_cast<std::uint64_t>(x.significand)) << (x.exponent - common);
  };
  const Natural x = in_units(a), y = in_units(b);
  const Natural sum = a.negative == b.negative ? x + y : x > y ? x - y : y - x;
  // The root's last bit, of which the square's last bit is the square.
  const int last_bit = modulus - kModulusBits, shift = common - 2 * last_bit;
  const Natural square = shift >= 0 ? sum << shift : sum >> -shift;
  const Natural root = square.root();
  const bool is_cut = root * root != square || (shift < 0 && !sum.is_multiple_of_power(-shift));
  return {false, bits_below(kModulusBits, root), last_bit, is_cut};
}

// The integer next to x / 2^step in the direction of the rounding, and x's sign with it. Where it
// exceeds 2^53 it may be off: such a number is out of any format's range.
double round_to_integer(const ExactNumber& x, int step, Rounding rounding, Draw draw) {
  int shift = step - x.exponent;
  if (shift <= 0) {
    const double k = std::ldexp(static_cast<double>(x.significand), -shift);
    return x.negative ? -k : k;
  }
  Uint128 significand = x.significand;
  bool is_cut = x.is_cut;
  if (shift > 126) {  // less than 1/64 of a step
    const int drop = std::min(shift - 126, 127);
    is_cut |= (significand & ((Uint128{1} << drop) - 1)) != 0;
    significand >>= drop;
    shift = 126;
  }
  const Uint128 whole = significand >> shift;
  const Uint128 rest = significand & ((Uint128{1} << shift) - 1);
  const Uint128 half = Uint128{1} << (shift - 1);
  const bool is_whole = rest == 0 && !is_cut;

  bool away = false;  // from zero
  switch (rounding) {
    case Rounding::nearest:
      away = rest >= half;
      break;
    case Rounding::even:
      away = rest > half || (rest == half && (is_cut || (whole & 1) != 0));
      break;
    case Rounding::zero:
      break;
    case Rounding::down:
      away = x.negative && !is_whole;
      break;
    case Rounding::up:
      away = !x.negative && !is_whole;
      break;
    case Rounding::nearest_up:
      away = rest > half || (rest == half && (is_cut || !x.negative));
      break;
    case Rounding::nearest_down:
      away = rest > half || (rest == half && (is_cut || x.negative));
      break;
    case Rounding::nearest_zero:
      away = rest > half || (rest == half && is_cut);
      break;
    case Rounding::odd:
      away = !is_whole && (whole & 1) == 0;
      break;
    case Rounding::stochastic: {
      if (is_whole) break;
      // The fraction lies in [cells, cells + 1) / 2^24, and at the lower end just where on_cell.
      const Uint128 cells = shift >= 24 ? rest >> (shift - 24) : rest << (24 - shift);
      const bool on_cell =
          !is_cut && (shift < 24 || (rest & ((Uint128{1} << (shift - 24)) - 1)) == 0);
      if (draw.bits == 0) {
        // Up where u < distance to the integer below: fraction, or 1 - fraction for negatives.
        const Uint128 u = draw.word >> 8;
        away = x.negative ? cells >= (Uint128{1} << 24) - u : cells > u || (cells == u && !on_cell);
      } else {
        // Up where the distance reaches the multiple of 2^-bits above u.
        const Uint128 next = (Uint128{draw.word >> (32 - draw.bits)} + 1) << (24 - draw.bits);
        const Uint128 most = (Uint128{1} << 24) - next;
        away = x.negative ? !(cells < most || (cells == most && on_cell)) : cells >= next;
      }
      break;
    }
  }
  const double k = static_cast<double>(whole + (away ? 1 : 0));
  return x.negative ? -k : k;
}

// x rounded to odd in float64, or a number beyond all formats where x is one. No value of these
// formats and no border between two has a last bit of 1 there, so that it lies among them as x
// does.
double to_odd(const ExactNumber& x) {
  const int exponent = leading_exponent(x);
  const double k = round_to_integer(x, exponent - 52, Rounding::odd, {});
  return std::ldexp(k, std::clamp(exponent, -1000, 1000) - 52);
}

template <class T>
double round_to(const FixedPoint& format, const ExactNumber& x, Draw draw) {
  const double k = round_to_integer(x, -format.fraction, format.rounding, draw);
  return std::ldexp(reference::in_range(format, k), -format.fraction) + 0.0;
}

template <class T>
double round_to(const FloatingPoint& format, const ExactNumber& x, Draw draw) {
  const int exponent = std::max(leading_exponent(x), format.min_exponent());
  const int step = exponent - format.significand_bits;
  if (exponent > format.max_exponent()) return overflow_value(format, x.negative);
  const double rounded = std::ldexp(round_to_integer(x, step, format.rounding, draw), step);
  if (std::abs(rounded) > format.largest()) return overflow_value(format, x.negative);
  if (rounded == 0 && !format.has_negative_zero()) return 0;
  return std::copysign(rounded, x.negative ? -1.0 : 1.0);
}

template <class T>
double round_to(const Logarithmic& format, const ExactNumber& x, Draw) {
  const int lowest = min_exponent<T>(format);
  const int highest = max_exponent<T>(format);
  const bool is_nearest = format.rounding == Logarithmic::Rounding::nearest;
  const double sign = x.negative ? -1.0 : 1.0;
  int e = leading_exponent(x);
  if (is_nearest && e < lowest - 1) return std::copysign(0.0, sign);
  const Uint128 significand = x.significand << (kRootBits + 1 - bit_width(x.significand));
  if (significand >= border(format, 0)) ++e;
  if (!is_nearest && e < lowest) return std::copysign(0.0, sign);
  return std::copysign(std::ldexp(1.0, std::clamp(e, lowest, highest)), sign);
}

template <class T>
double round_to(const Posit& format, const ExactNumber& x, Draw) {
  return quantize_reference(format, to_odd(x));
}

template <class T>
double round_to(const P3109& format, const ExactNumber& x, Draw draw) {
  return quantize_reference(format, to_odd(x), draw);
}

template <class T>
double round_to(const Identity&, const ExactNumber& x, Draw draw) {
  return round_to<T>(type_format<T>(), x, draw);
}

// Zeros, infinities and NaN.
template <class T>
double round_special_to(const Identity&, double x) {
  return x;
}
template <class T>
double round_special_to(const FixedPoint& format, double x) {
  return quantize_reference(format, x);
}
template <class T>
double round_special_to(const FloatingPoint& format, double x) {
  return quantize_reference(format, x);
}
template <class T>
double round_special_to(const Posit& format, double x) {
  return quantize_reference(format, x);
}
template <class T>
double round_special_to(const P3109& format, double x) {
  return quantize_reference(format, x);
}
template <class T>
double round_special_to(const Logarithmic& format, double x) {
  return std::isinf(x) ? std::copysign(std::ldexp(1.0, max_exponent<T>(format)), x) : x;
}

}  // namespace

ExactNumber exact_number(double x) {
  int exponent = 0;
  const double fraction = std::frexp(std::abs(x), &exponent);
  return {std::signbit(x), static_cast<std::uint64_t>(std::ldexp(fraction, 53)), exponent - 53,
          false};
}

int leading_exponent(const ExactNumber& x) { return bit_width(x.significand) - 1 + x.exponent; }

ExactNumber cut_to(ExactNumber x, int last_bit) {
  const int below = last_bit - x.exponent;
  if (below <= 0) return x;
  x.significand = below < 128 ? x.significand >> below << below : 0;
  return x;
}

ExactNumber exact_product(double a, double b) {
  const ExactNumber x = exact_number(a), y = exact_number(b);
  return {x.negative != y.negative, x.significand * y.significand, x.exponent + y.exponent, false};
}

ExactNumber exact_quotient(double a, double b) {
  const ExactNumber x = exact_number(a), y = exact_number(b);
  const Uint128 dividend = x.significand << 66;  // 119 bits; the quotient has 66 or 67
  return {x.negative != y.negative, dividend / y.significand, x.exponent - 66 - y.exponent,
          dividend % y.significand != 0};
}

ExactNumber exact_quotient(double a, double b, int modulus) {
  const ExactNumber x = exact_number(a), y = exact_number(b);
  const Natural divisor(static_cast<std::uint64_t>(y.significand));
  const int shift = std::max(66, x.exponent - y.exponent - (modulus - kModulusBits));
  const Natural dividend = Natural(static_cast<std::uint64_t>(x.significand)) << shift;
  const Natural quotient = dividend / divisor;
  const int exponent = x.exponent - shift - y.exponent;
  return {x.negative != y.negative, bits_below(modulus - exponent, quotient), exponent,
          quotient * divisor != dividend};
}

ExactNumber exact_root_of_sum(double a, double b, std::optional<int> modulus) {
  ExactSum<double> sum;
  sum.add(a);
  sum.add(b);
  const ExactNumber root = exact_root(sum.number());
  const bool is_below = !modulus || leading_exponent(root) < *modulus;
  return is_below ? root : exact_root_modulo(exact_number(a), exact_number(b), *modulus);
}

template <class T>
double round_exact(const GridFormat& format, const ExactNumber& x, Draw draw) {
  return std::visit([&](const auto& f) { return round_to<T>(f, x, draw); }, format);
}

template <class T>
double round_special(const GridFormat& format, double x) {
  return std::visit([&](const auto& f) { return round_special_to<T>(f, x); }, format);
}

template <class T>
double round_double(const GridFormat& format, double x, Draw draw) {
  const bool is_number = std::isfinite(x) && x != 0;
  return is_number ? round_exact<T>(format, exact_number(x), draw) : round_special<T>(format, x);
}

template <class T>
double round_quotient(const GridFormat& format, double a, double b, Draw draw) {
  if (!std::isfinite(a) || !std::isfinite(b) || a == 0 || b == 0) {
    return round_special<T>(format, a / b);
  }
  const auto modulus = modulus_of(format);
  return round_exact<T>(format, modulus ? exact_quotient(a, b, *modulus) : exact_quotient(a, b),
                        draw);
}

template <>
FloatingPoint type_format<float>() {
  return {8, 23};
}
template <>
FloatingPoint type_format<double>() {
  return {11, 52};
}

template double round_exact<float>(const GridFormat&, const ExactNumber&, Draw);
template double round_exact<double>(const GridFormat&, const ExactNumber&, Draw);
template double round_double<float>(const GridFormat&, double, Draw);
template double round_double<double>(const GridFormat&, double, Draw);
template double round_quotient<float>(const GridFormat&, double, double, Draw);
template double round_quotient<double>(const GridFormat&, double, double, Draw);
template double round_special<float>(const GridFormat&, double);
template double round_special<double>(const GridFormat&, double);

}  // namespace tensorquant
