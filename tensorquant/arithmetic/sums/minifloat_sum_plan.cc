// Why the kernel of minifloat_sum-inl.h is equal to the reference.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <string>
#include <variant>

#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {
namespace {

constexpr int kFloat = 24, kDouble = 53;  // digits of the lanes

// Identity is binary32.
std::optional<FloatingPoint> as_float(const GridFormat& format) {
  if (is_none(format)) return FloatingPoint{8, 23};
  const auto* f = std::get_if<FloatingPoint>(&format);
  return f != nullptr ? std::optional(*f) : std::nullopt;
}

bool is_binary32(const FloatingPoint& f) {
  return f.significand_bits == 23 && f.min_exponent() == -126 && f.max_exponent() == 127;
}

std::optional<int> machine_rounding(Rounding rounding) {
  switch (rounding) {
    case Rounding::even:
      return FE_TONEAREST;
    case Rounding::zero:
      return FE_TOWARDZERO;
    case Rounding::down:
      return FE_DOWNWARD;
    case Rounding::up:
      return FE_UPWARD;
    default:
      return {};
  }
}

struct MinifloatSum {
  const SumBounds& bounds;
  std::optional<FloatingPoint> product;  // nothing: exact
  std::optional<FloatingPoint> sum;      // nothing: added up exactly, and rounded at the end
  double most = 0;                       // no finite sum is larger, before it is rounded

  Rounding rounding() const { return product ? product->rounding : sum->rounding; }
  // What is added and every sum are multiples of 2^this: rounding to a float makes multiples of a
  // power of two no finer ones, but where the largest number is finer.
  int last_bit() const {
    if (!product) return bounds.last_bit;
    const int last_of_largest = product->max_exponent() - product->significand_bits;
    return std::max(product->last_bit(), std::min(bounds.last_bit, last_of_largest));
  }
  // No product that is added is larger, if it is finite.
  double largest_product() const {
    return product ? std::min(bounds.largest, product->largest()) : bounds.largest;
  }
  bool are_sums_small() const { return sum && last_bit() < sum->last_bit(); }
};

std::optional<MinifloatSum> minifloat_sum(const SumBounds& bounds) {
  MinifloatSum m{bounds, {}, {}};
  if (!bounds.keeps_product) {
    m.product = as_float(bounds.arithmetic.product);
    if (!m.product) return {};
  }
  if (bounds.rounds_at_the_end()) {
    if (!m.product) return {};
    m.most = bounds.largest_sum;
  } else {
    m.sum = as_float(bounds.arithmetic.accumulator);
    if (!m.sum) return {};
    // A value of the accumulator's and a product, too.
    m.most = std::min((bounds.largest_sum + bounds.taps() * m.sum->smallest()) *
                          std::pow(1 + power(-m.sum->significand_bits), bounds.taps()),
                      m.sum->largest() + m.largest_product());
  }
  if (m.product && m.sum && m.product->rounding != m.sum->rounding) return {};
  // So that no large number, nor what is added to it, is infinite.
  return std::max(m.most, bounds.largest) < 0x1p100 ? std::optional(m) : std::nullopt;
}

// Whether the lanes' numbers have room for the format, and for the large number that rounds to it.
bool fits_lanes(const FloatingPoint& f, int digits) {
  return digits == kDouble ||
         (f.significand_bits <= 21 && f.min_exponent() >= -126 && f.last_bit() >= -149);
}

bool product_fits(const MinifloatSum& m, int digits) {
  if (!m.product) return digits == kDouble || m.last_bit() >= -149;
  return fits_lanes(*m.product, digits) || is_binary32(*m.product);
}

// The lanes' rounding of s + p to D digits, rounded to even again to the P digits of the
// accumulator, is s + p rounded once, for p of Q digits, where one of these holds:
//  - Neither s nor p has more than P digits, and 2 P + 2 <= D (S. Figueroa, "When is double
//    rounding innocuous?", 1995).
//  - The lanes' sum is exact: everything is a multiple of 2^last_bit.
//  - Q + P < D, and the lanes' sum is exact wherever |p| > |s|. Say s + p has the exponent e and is
//    not exact, yet lies within 2^(e-D) of the middle m of two values, an odd multiple of 2^(e-P).
//    So is p = (m - s) + (s + p - m), where s, as |s| >= |p| gives it an exponent of e - 1 or more,
//    is a multiple of 2^(e-P), and not m, which has P + 1 digits. Then p reaches from 2^(e-P-1) or
//    above down to 2^(e-D) or below, which takes D - P digits. Below the accumulator's normal
//    numbers, whose neighbours are further apart, it takes more.
bool rounds_as_once(const MinifloatSum& m, int digits) {
  const SumBounds& bounds = m.bounds;
  const int sum_digits = m.sum->significand_bits + 1;
  const int product_digits =
      m.product ? std::min(bounds.bits, m.product->significand_bits + 1) : bounds.bits;
  const bool are_alike = product_digits <= sum_digits && 2 * sum_digits + 2 <= digits;
  const bool is_product_short =
      product_digits + sum_digits < digits && fits(m.largest_product(), m.last_bit(), digits - 1);
  return are_alike || is_product_short || fits(m.most, m.last_bit(), digits);
}

// In float64 the kernel rounds to odd where it would not round as once.
bool sums_fit(const MinifloatSum& m, int digits) {
  if (!m.sum) return fits(m.most, m.last_bit(), digits);
  if (digits == kDouble) return true;
  if (is_binary32(*m.sum)) return true;
  // Directed roundings, one after the other, are the coarser one.
  return fits_lanes(*m.sum, digits) &&
         (m.rounding() != Rounding::even || rounds_as_once(m, digits));
}

bool fits_float(const MinifloatSum& m) {
  // In float32 a product is rounded to binary32 by the machine, whose sums are of binary32 too.
  const bool mixes = m.product && is_binary32(*m.product) && !(m.sum && is_binary32(*m.sum));
  return product_fits(m, kFloat) && sums_fit(m, kFloat) && !mixes;
}

bool fits_double(const MinifloatSum& m) {
  return product_fits(m, kDouble) && sums_fit(m, kDouble) && m.rounding() != Rounding::zero;
}

// Whether a number beyond the ends becomes the largest one.
bool clamps(const FloatingPoint& f) { return f.saturates() || f.rounding == Rounding::zero; }

// Or infinity, as the numbers behind it would in their binade.
bool becomes_infinite(const FloatingPoint& f) {
  return f.special == FloatingPoint::Special::ieee &&
         f.overflow == FloatingPoint::Overflow::infinity;
}

// Of the numbers of a format that go beyond its ends, in sums where others do too.
std::optional<MinifloatEnds> kind_of_ends(const MinifloatSum& m, bool products_overflow,
                                          bool sums_overflow) {
  if ((!products_overflow || clamps(*m.product)) && (!sums_overflow || clamps(*m.sum))) {
    return MinifloatEnds::clamp;
  }
  // Directed roundings have an end of each kind.
  if (m.rounding() != Rounding::even) return {};
  const bool are_infinite = (!products_overflow || becomes_infinite(*m.product)) &&
                            (!sums_overflow || becomes_infinite(*m.sum));
  return are_infinite ? MinifloatEnds::infinite : MinifloatEnds::replace;
}

// Infinities and NaN, which are added like numbers.
bool products_are_infinite(const MinifloatSum& m, bool products_overflow) {
  return products_overflow && !clamps(*m.product);
}

// An infinity that is added becomes what a sum beyond the ends becomes.
bool keeps_infinities(const MinifloatSum& m) {
  using enum FloatingPoint::Overflow;
  if (!m.sum || m.sum->overflow == propagate) return false;
  return !is_binary32(*m.sum) || m.sum->overflow == infinity;
}

// Infinite and NaN factors: products and sums are infinite like theirs, at one level.
bool takes_infinities(const MinifloatSum& m) {
  return (!m.product || becomes_infinite(*m.product)) && becomes_infinite(*m.sum) &&
         m.rounding() == Rounding::even && !m.bounds.arithmetic.outer &&
         !m.bounds.sums.has_scales();
}

MinifloatConstants constants_of(const FloatingPoint& f) {
  return {f.significand_bits, f.min_exponent(), f.max_exponent(), f.largest(),
          overflow_value(f, false)};
}

MinifloatSteps steps_of(const MinifloatSum& m) {
  MinifloatSteps steps;
  steps.in_double = !fits_float(m);
  using Products = MinifloatProducts;
  steps.products = Products::exact;
  if (m.product) {
    steps.products =
        steps.in_double || !is_binary32(*m.product) ? Products::rounded : Products::machine;
    steps.product = constants_of(*m.product);
  }
  steps.sums = MinifloatSums::machine;
  if (m.sum && (steps.in_double || !is_binary32(*m.sum))) {
    const bool takes_odd =
        steps.in_double && m.rounding() == Rounding::even && !rounds_as_once(m, kDouble);
    steps.sums = takes_odd            ? MinifloatSums::odd
                 : m.are_sums_small() ? MinifloatSums::small
                                      : MinifloatSums::rounded;
    steps.are_odd_small = m.are_sums_small();
    steps.sum = constants_of(*m.sum);
  }
  steps.to_zero = m.rounding() == Rounding::zero;
  return steps;
}

}  // namespace

std::optional<SumPlan> plan_minifloat(const SumBounds& bounds, SumConstants& c) {
  if (bounds.mode == Accumulate::Mode::chunk) return {};
  const std::optional<MinifloatSum> m = minifloat_sum(bounds);
  if (!m || !(fits_float(*m) || fits_double(*m))) return {};
  const std::optional<int> direction = machine_rounding(m->rounding());
  if (!direction) return {};
  // A zero has no sign but where small numbers become it: not that of the machine, which rounds
  // down to -0 even x - x, nor one that the format does not have.
  const bool has_signs =
      (!m->sum || m->sum->has_negative_zero()) && (!m->product || m->product->has_negative_zero());
  if (m->are_sums_small() && (m->rounding() == Rounding::down || !has_signs)) return {};

  const bool products_overflow = m->product && bounds.largest > m->product->largest();
  const bool are_infinite =
      !bounds.factors_are_finite() || products_are_infinite(*m, products_overflow);
  if (are_infinite && !keeps_infinities(*m)) return {};
  if (!bounds.factors_are_finite() && !takes_infinities(*m)) return {};
  const bool sums_overflow = m->sum && (are_infinite || m->most > m->sum->largest());
  const auto ends = kind_of_ends(*m, products_overflow, sums_overflow);
  if (!ends) return {};
  c.minifloat = steps_of(*m);
  if (products_overflow) c.minifloat.product_ends = *ends;
  if (sums_overflow && c.minifloat.sums != MinifloatSums::machine) c.minifloat.sum_ends = *ends;
  c.machine_rounding = *direction;
  return SumPlan{SumKernel::minifloat, products_overflow, sums_overflow, m->sum.has_value(),
                 std::string(!products_overflow && !sums_overflow ? "floats that cannot overflow"
                             : *ends == MinifloatEnds::clamp      ? "floats that can saturate"
                                                                  : "floats that can overflow") +
                     (c.minifloat.in_double ? ", in float64" : ", in float32")};
}

}  // namespace tensorquant
