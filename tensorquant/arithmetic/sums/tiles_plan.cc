// Where tiles.cc is equal to the reference.
#include <algorithm>
#include <cmath>

#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {
namespace {

// The magnitude of the format's ends in a float32 tensor.
double largest_of(const GridFormat& format) {
  const Bounds<double> ends = ends_of<float>(format);
  return std::max(-ends.lowest, ends.highest);
}

bool adds_single_products(const SumBounds& bounds) {
  return bounds.mode == Accumulate::Mode::step || bounds.mode == Accumulate::Mode::fused;
}

// Whether the accumulator's values, up to this magnitude, plus what is added at once are doubles.
bool sums_fit_doubles(const SumBounds& bounds, double largest_value) {
  const int lowest = std::min(bounds.rounded_last_bit(), last_bit(bounds.arithmetic.accumulator));
  const double added =
      bounds.largest_product() * (adds_single_products(bounds) ? 1 : bounds.taps());
  return fits(largest_value + added, lowest, 53);
}

// Two floats, the addend with no more bits than the accumulator, which rounds to the nearest. Where
// their sum is no double the smaller one lies below 2^-25 of the other's last bit: the double next
// to the sum and the sum have the other as their nearest value, and neither is a tie.
bool nearest_is_harmless(const SumBounds& bounds) {
  const GridFormat accumulator = in_double(bounds.arithmetic.accumulator);
  const auto* sum = std::get_if<FloatingPoint>(&accumulator);
  const auto* product = std::get_if<FloatingPoint>(&bounds.arithmetic.product);
  return sum != nullptr && product != nullptr && bounds.mode == Accumulate::Mode::step &&
         is_to_nearest(sum->rounding) && product->significand_bits <= sum->significand_bits;
}

// No sum is larger, before it is rounded.
double largest_sum(const SumBounds& bounds) {
  const GridFormat accumulator = in_double(bounds.arithmetic.accumulator);
  const auto* f = std::get_if<FloatingPoint>(&accumulator);
  if (f == nullptr) return INFINITY;
  return (bounds.largest_sum + bounds.taps() * f->smallest()) *
         std::pow(1 + power(-f->significand_bits), bounds.taps());
}

// Whether finite numbers up to this magnitude stay finite.
bool keeps_finite(const GridFormat& format, double largest) {
  if (const auto* f = std::get_if<FloatingPoint>(&format)) {
    return f->saturates() || largest <= f->largest();
  }
  return !std::holds_alternative<P3109>(format);  // whose NaN may be all negative numbers
}

// Those that turn overflows into something of their own.
bool takes_infinities(const std::optional<LaneFormat>& lanes) {
  const auto* f = lanes ? std::get_if<FloatLaneFormat>(&*lanes) : nullptr;
  return f != nullptr && f->overflow.has_value();
}

void set_lanes(const SumBounds& bounds, SumConstants& c) {
  if (!bounds.factors_are_finite()) return;
  if (!bounds.keeps_product) {
    c.product_lanes = lane_format(bounds.arithmetic.product, bounds.largest);
  }
  // Infinities and NaN that products become are numbers that cannot be bounded.
  const bool is_bounded =
      bounds.keeps_product || keeps_finite(bounds.arithmetic.product, bounds.largest);
  const double largest = is_bounded ? largest_sum(bounds) : INFINITY;
  c.sum_lanes = lane_format(bounds.arithmetic.accumulator, largest);
  if (!is_bounded && !takes_infinities(c.sum_lanes)) c.sum_lanes = {};
  const double ends = largest_of(bounds.arithmetic.accumulator);
  c.adds_to_odd =
      !nearest_is_harmless(bounds) && !sums_fit_doubles(bounds, std::min(ends, largest));
}

const char* reason_of(const SumBounds& bounds, const SumConstants& c) {
  if (!bounds.keeps_product && !c.product_lanes) {
    return c.sum_lanes ? "the products' format has no kernel for sums"
                       : "formats without a kernel for sums";
  }
  if (!c.sum_lanes) return "the accumulator has no kernel for sums";
  return c.adds_to_odd ? "a pair without a kernel of its own; sums are rounded to odd first"
                       : "a pair without a kernel of its own";
}

}  // namespace

// The tiles round sums to odd first, which serves all formats but those that look at bits far
// below the result or far above it.
SumPlan plan_tiles_or_reference(const SumBounds& bounds, SumConstants& constants) {
  const auto reference = [](const char* reason) {
    return SumPlan{SumKernel::reference, true, true, true, reason};
  };
  const int last_bit = bounds.rounded_last_bit();
  if (bounds.mode == Accumulate::Mode::once || bounds.mode == Accumulate::Mode::chunk) {
    if (!fits(bounds.largest_sum, last_bit, 53) || !bounds.factors_are_finite()) {
      return reference("the sum of several products needs more than float64");
    }
  }
  if (!takes_odd(bounds.arithmetic.accumulator)) {
    const double ends = largest_of(bounds.arithmetic.accumulator);
    bool fit = sums_fit_doubles(bounds, ends);
    if (bounds.has_bias) {
      const FactorRange bias =
          range_of({bounds.sums.row_bias ? bounds.sums.row_bias : bounds.sums.column_bias,
                    bounds.sums.row_bias ? bounds.sums.rows.size() : bounds.sums.columns.size()});
      const int lowest =
          std::min(bias.last_bit, tensorquant::last_bit(bounds.arithmetic.accumulator));
      fit &= bias.is_finite && fits(ends + bias.largest, lowest, 53);
    }
    if (!bounds.factors_are_finite() || !fit) {
      return reference("the accumulator looks at more bits than float64 has");
    }
  }
  set_lanes(bounds, constants);
  return {SumKernel::tiles, true, true, true, reason_of(bounds, constants)};
}

}  // namespace tensorquant
