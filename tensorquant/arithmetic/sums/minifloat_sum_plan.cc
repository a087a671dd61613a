// Why the kernel of minifloat_sum-inl.h is equal to the reference.
#include <algorithm>
#include <cmath>
#include <string>
#include <variant>

#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {
namespace {

// Identity is binary32.
std::optional<FloatingPoint> rounded_to_even(const GridFormat& format) {
  if (is_none(format)) return FloatingPoint{8, 23};
  const auto* f = std::get_if<FloatingPoint>(&format);
  // The kernel's zeros have signs.
  const bool fits = f != nullptr && f->rounding == Rounding::even && f->has_negative_zero();
  return fits ? std::optional(*f) : std::nullopt;
}

}  // namespace

std::optional<SumPlan> plan_minifloat(const SumBounds& bounds, SumConstants& c) {
  if (bounds.rounds_at_the_end() || bounds.mode == Accumulate::Mode::chunk) return {};
  const auto sum = rounded_to_even(bounds.arithmetic.accumulator);
  const auto product =
      bounds.keeps_product ? std::nullopt : rounded_to_even(bounds.arithmetic.product);
  if (!sum || (!bounds.keeps_product && !product)) return {};
  const double taps = bounds.taps();
  const double most = (bounds.largest_sum + taps * sum->smallest()) *
                      std::pow(1 + power(-sum->significand_bits), taps);
  if (!(std::max(most, bounds.largest) < 0x1p120)) return {};
  const bool overflows = (product && bounds.largest > product->largest()) || most > sum->largest();
  // There are no infinities.
  const auto saturates = [](const std::optional<FloatingPoint>& f) { return !f || f->saturates(); };
  if (overflows && !(saturates(product) && saturates(sum))) return {};

  const auto is_small = [](const FloatingPoint& f) {
    return f.significand_bits <= 10 && f.min_exponent() >= -62 && f.max_exponent() <= 63;
  };
  // Two roundings are as good as one where no addend has more bits than the accumulator, or where
  // the first one does nothing: sums are multiples of the products' last bit.
  const bool adds_alike = product && product->significand_bits <= sum->significand_bits;
  const bool fits_float = is_small(*sum) && (!product || is_small(*product)) && bounds.bits <= 24 &&
                          bounds.last_bit >= -149 &&
                          (adds_alike || fits(most, bounds.rounded_last_bit(), 24));
  if (!fits_float && !adds_alike && !fits(most, bounds.rounded_last_bit(), 53)) return {};
  c.needs_double = !fits_float;
  c.rounds_products = product.has_value();
  if (product) {
    c.product_bits = product->significand_bits;
    c.product_exponent = product->min_exponent();
    c.highest_product = product->largest();
  }
  c.sum_bits = sum->significand_bits;
  c.sum_exponent = sum->min_exponent();
  c.highest_sum = sum->largest();
  return SumPlan{
      SumKernel::minifloat, overflows, overflows, true,
      std::string(overflows ? "floats that can saturate" : "floats that cannot overflow") +
          (fits_float ? ", in float32" : ", in float64")};
}

}  // namespace tensorquant
