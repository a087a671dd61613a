// Why the kernels of fixed_sum-inl.h are equal to the reference.
#include "tensorquant/arithmetic/sums/fixed_sum_plan.h"

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <string>
#include <variant>

#include "tensorquant/arithmetic/sums/sum_plans.h"

namespace tensorquant {
namespace {

bool saturates(const FixedPoint* format) { return format != nullptr && format->saturates(); }

// In steps: the largest magnitude in the format's range, and the largest whose negative lies in it,
// too.
double largest_of(const FixedPoint& format) {
  return std::max(-format.lowest_integer(), format.highest_integer());
}
double largest_of_both_signs(const FixedPoint& format) {
  return std::min(-format.lowest_integer(), format.highest_integer());
}

// All products are below 2^grid_bits() times their common last bit. A factor that is larger by
// 2^-grid_bits() of itself turns ties to even into ties away from zero: it moves a product by
// less than that bit, and so over no half step but the one on which it lies.
int grid_bits(const SumBounds& bounds) {
  return bounds.largest == 0 ? 0 : std::ilogb(bounds.largest) + 1 - bounds.last_bit;
}

// For products that the machine rounds by itself; ties away from zero need a larger factor, too.
bool set_machine_rounding(const FixedPoint& product, SumConstants& c) {
  const Rounding rounding = product.rounding;
  if (rounding == Rounding::down) c.machine_rounding = FE_DOWNWARD;
  if (rounding == Rounding::up) c.machine_rounding = FE_UPWARD;
  return rounding == Rounding::even || rounding == Rounding::nearest ||
         rounding == Rounding::down || rounding == Rounding::up;
}

// For sums that the kernel rounds itself.
bool set_sum_rounding(const FixedPoint& accumulator, SumConstants& c) {
  c.sum_rounding = accumulator.rounding;
  return *c.sum_rounding == Rounding::even || *c.sum_rounding == Rounding::nearest;
}

// s = A(s + x w), where s + x w is exact in float64.
std::optional<SumPlan> plan_sums_of_exact_products(const SumBounds& bounds, SumConstants& c) {
  FixedSum f;
  f.accumulator = std::get_if<FixedPoint>(&bounds.arithmetic.accumulator);
  if (!saturates(f.accumulator) || bounds.rounds_at_the_end() ||
      bounds.mode == Accumulate::Mode::chunk) {
    return {};
  }
  f.rounds_sums = bounds.last_bit < -f.accumulator->fraction;
  f.clamps_sums = true;
  const int last_bit = std::min(bounds.last_bit, -f.accumulator->fraction);
  const double most =
      std::ldexp(largest_of(*f.accumulator), -f.accumulator->fraction) + bounds.largest;
  if (!fits(most, last_bit, 51)) return {};
  if (f.rounds_sums && !set_sum_rounding(*f.accumulator, c)) return {};
  c.rounds_products = false;
  c.unit = power(-f.accumulator->fraction);
  c.a_scale = power(f.accumulator->fraction);
  c.lowest_sum = f.accumulator->lowest_integer();
  c.highest_sum = f.accumulator->highest_integer();
  return f.plan(SumKernel::fixed_double, "exact products, sums in float64");
}

}  // namespace

std::optional<FixedSum> fixed_sum(const SumBounds& bounds) {
  FixedSum f;
  f.product = std::get_if<FixedPoint>(&bounds.arithmetic.product);
  f.accumulator = std::get_if<FixedPoint>(&bounds.arithmetic.accumulator);
  if (bounds.keeps_product || !saturates(f.product)) return {};
  const bool sum_is_exact = bounds.sum_is_exact(-f.product->fraction);
  // A chunk's own sum needs a register of its own; where nothing can happen to the sum it is as
  // good as once.
  if (bounds.mode == Accumulate::Mode::chunk && !sum_is_exact) return {};
  const double steps = power(f.product->fraction);
  f.clamps_products = bounds.largest * steps + 1 > largest_of_both_signs(*f.product);
  f.largest_product = f.clamps_products ? largest_of(*f.product) : bounds.largest * steps + 1;
  f.largest_sum = bounds.largest_sum * steps;
  if (bounds.rounds_at_the_end() || sum_is_exact) return f;
  if (!saturates(f.accumulator)) return {};
  f.rounds_sums = f.accumulator->fraction < f.product->fraction;
  // Each rounding may add a step.
  const double rounding = f.rounds_sums ? bounds.taps() * power(-f.accumulator->fraction) : 0;
  f.clamps_sums = bounds.largest_sum + rounding >
                  std::ldexp(largest_of_both_signs(*f.accumulator), -f.accumulator->fraction);
  if (f.clamps_sums) {
    f.largest_sum =
        std::ldexp(largest_of(*f.accumulator), f.product->fraction - f.accumulator->fraction);
  } else {
    f.largest_sum += bounds.taps() * power(f.product->fraction - f.accumulator->fraction);
  }
  return f;
}

void FixedSum::set_limits(double product_scale, double sum_scale, SumConstants& c) const {
  c.lowest_product = product->lowest_integer() * product_scale;
  c.highest_product = product->highest_integer() * product_scale;
  if (!clamps_sums) return;
  c.lowest_sum = accumulator->lowest_integer() * sum_scale;
  c.highest_sum = accumulator->highest_integer() * sum_scale;
}

SumPlan FixedSum::plan(SumKernel kernel, const char* sums) const {
  std::string text = clamps_products ? "products can saturate" : "no product can saturate";
  text += rounds_sums ? ", sums are rounded" : ", sums are never rounded";
  text += clamps_sums ? " and can saturate" : " and cannot saturate";
  return {kernel, clamps_products, clamps_sums, rounds_sums, text + "; " + sums};
}

std::optional<SumPlan> plan_exact(const SumBounds& bounds, SumConstants& c) {
  if (!bounds.sums_are_exact()) return {};
  if (fits(bounds.largest_sum, bounds.last_bit, 24) && bounds.last_bit >= -149) {
    return SumPlan{SumKernel::exact, false, false, false,
                   "no product and no sum can round or saturate"};
  }
  if (!fits(bounds.largest_sum, bounds.last_bit, 53)) return {};
  c.rounds_products = false;
  return SumPlan{SumKernel::fixed_double, false, false, false,
                 "no product and no sum can round or saturate; the sums need float64"};
}

std::optional<SumPlan> plan_fixed_int(const SumBounds& bounds, SumConstants& c) {
  const std::optional<FixedSum> f = fixed_sum(bounds);
  if (!f || f->rounds_sums) return {};
  if (!set_machine_rounding(*f->product, c)) return {};
  // Where products are steps nothing rounds.
  if (f->product->rounding == Rounding::nearest && bounds.last_bit < -f->product->fraction) {
    if (bounds.a.significant_bits + grid_bits(bounds) > 24) return {};
    c.a_scale = 1 + power(-grid_bits(bounds));
  }
  constexpr double kMost = 0x400000 - 2;  // steps, around magic
  if (f->largest_product > kMost) return {};
  c.shift = f->clamps_sums ? f->accumulator->fraction - f->product->fraction : 0;
  if ((f->largest_sum + f->largest_product) * power(c.shift) >= 0x7FFFFFFF) return {};
  // magic and the scaled factor must be normal numbers of float32.
  if (bounds.a.largest != 0 && (bounds.a.largest > 0x1p126f || bounds.a.last_bit < -126 + 24))
    return {};
  c.unit = power(-f->product->fraction - c.shift);
  c.magic = 0xC00000 * power(-f->product->fraction);
  f->set_limits(1, 1, c);
  return f->plan(SumKernel::fixed_int, "sums fit into int32");
}

std::optional<SumPlan> plan_fixed_float(const SumBounds& bounds, SumConstants& c) {
  const std::optional<FixedSum> f = fixed_sum(bounds);
  if (!f || f->rounds_sums) return {};
  c.product_rounding = f->product->rounding;
  if (f->product->rounding != Rounding::zero && f->product->rounding != Rounding::nearest)
    return {};
  if (f->clamps_sums && f->accumulator->fraction != f->product->fraction) return {};
  constexpr double kMost = 0x800000;
  if (f->largest_product > kMost || f->largest_sum + f->largest_product > 2 * kMost) return {};
  // a 2^fraction must be exact, and products must not fall below the normal numbers unseen.
  const int fraction = f->product->fraction;
  if (bounds.a.largest != 0 &&
      (bounds.a.largest * power(fraction) > 0x1p126 || bounds.a.last_bit + fraction < -149 ||
       bounds.last_bit + fraction < -149)) {
    return {};
  }
  c.machine_rounding = FE_TOWARDZERO;
  c.unit = power(-fraction);
  c.a_scale = power(fraction);
  f->set_limits(1, 1, c);
  return f->plan(SumKernel::fixed_float, "sums are integers in float32");
}

std::optional<SumPlan> plan_fixed_double(const SumBounds& bounds, SumConstants& c) {
  if (bounds.keeps_product) return plan_sums_of_exact_products(bounds, c);
  const std::optional<FixedSum> f = fixed_sum(bounds);
  if (!f) return {};
  if (!set_machine_rounding(*f->product, c)) return {};
  if (f->product->rounding == Rounding::nearest) c.a_scale = 1 + 0x1p-50;
  if (f->rounds_sums && !set_sum_rounding(*f->accumulator, c)) return {};
  // Units are the steps of the sum where it is rounded or clamped, else those of the product.
  const bool has_own_units = f->rounds_sums || f->clamps_sums;
  const int fraction = has_own_units ? f->accumulator->fraction : f->product->fraction;
  const int finer = f->product->fraction - fraction;  // a product's step is 2^-finer units
  constexpr double kMost = 0x1p46;
  if (f->largest_product > kMost || f->largest_sum + f->largest_product > 0x1p51 ||
      f->largest_sum * power(-finer) > 0x1p51) {
    return {};
  }
  // The sum's own ties, and the machine rounds to nearest alone.
  if (f->rounds_sums && (f->largest_sum + f->largest_product > 0x1p48 || finer > 40 ||
                         c.machine_rounding != FE_TONEAREST)) {
    return {};
  }
  c.unit = power(-fraction);
  c.a_scale *= power(fraction);
  c.magic = 1.5 * power(52 - finer);
  f->set_limits(power(-finer), 1, c);
  return f->plan(SumKernel::fixed_double, "sums are integers in float64");
}

}  // namespace tensorquant
