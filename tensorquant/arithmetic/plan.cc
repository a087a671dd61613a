// Chooses the fastest kernel that is provably equal to the reference.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>
#include <optional>
#include <variant>

#include "tensorquant/arithmetic/finish.h"
#include "tensorquant/arithmetic/sum_kernels.h"
#include "tensorquant/arithmetic/sums_of_products.h"
#include "tensorquant/base/float_environment.h"

namespace tensorquant {
namespace {

double power(int exponent) { return std::ldexp(1.0, exponent); }

// Whether multiples of 2^last_bit up to this magnitude are exact in so many bits.
bool fits(double magnitude, int last_bit, int bits) { return magnitude <= power(bits + last_bit); }

// The fewest bits in which they fit, more than any format has where the magnitude is infinite.
int bits_up_to(double magnitude, int last_bit) {
  if (magnitude == 0) return 0;
  if (!std::isfinite(magnitude)) return std::numeric_limits<int>::max();
  int exponent = 0;  // the magnitude lies in [2^(exponent - 1), 2^exponent)
  const bool is_power = std::frexp(magnitude, &exponent) == 0.5;
  return exponent - (is_power ? 1 : 0) - last_bit;
}

// The magnitude of the format's ends in a float32 tensor.
double largest_of(const GridFormat& format) {
  const Bounds<double> ends = ends_of<float>(format);
  return std::max(-ends.lowest, ends.highest);
}

FactorFacts known_facts(const Factor<float>& factor) {
  return factor.facts ? *factor.facts : facts_of(factor.data);
}

class Planner {
 public:
  Planner(const Arithmetic& arithmetic, const SumsOfProducts<float>& sums)
      : arithmetic_(arithmetic),
        mode_(arithmetic.accumulate.mode),
        product_(std::get_if<FixedPoint>(&arithmetic.product)),
        accumulator_(std::get_if<FixedPoint>(&arithmetic.accumulator)),
        sums_(sums),
        a_(known_facts(sums.a)),
        b_(known_facts(sums.b)),
        keeps_product_(is_none(arithmetic.product) || mode_ == Accumulate::Mode::fused) {
    largest_ = static_cast<double>(a_.largest) * static_cast<double>(b_.largest);
    last_bit_ = a_.last_bit + b_.last_bit;
    bits_ = a_.significant_bits + b_.significant_bits;
    if (a_.is_finite && b_.is_finite) find_sum_bound();
  }

  // The plan, and the constants for its kernel.
  SumPlan plan(SumConstants& constants) const {
    if (runs_fast()) {
      for (const auto attempt :
           {&Planner::exact, &Planner::fixed_int, &Planner::fixed_float, &Planner::fixed_double,
            &Planner::minifloat, &Planner::stochastic}) {
        constants = {};
        if (const std::optional<SumPlan> found = (this->*attempt)(constants)) return *found;
      }
      constants = {};
    }
    return slow();
  }

 private:
  bool runs_fast() const {
    // The bias is added in float64, rounded to odd: see slow().
    const bool looks_far = !takes_odd(arithmetic_.accumulator);
    return has_fused_multiply_add() && a_.is_finite && b_.is_finite && !(looks_far && has_bias());
  }
  bool has_bias() const { return sums_.row_bias != nullptr || sums_.column_bias != nullptr; }

  // No partial sum of rounded products is larger.
  void find_sum_bound() {
    double longest_row = 0;
    for (const std::int64_t line : sums_.a.lines) {
      double row = 0;
      const float* a = sums_.a.data.data() + line;
      for (const std::int64_t tap : sums_.a.taps) row += std::abs(static_cast<double>(a[tap]));
      longest_row = std::max(longest_row, row);
    }
    const auto taps = static_cast<double>(sums_.taps());
    constexpr double kSlack = 1 + 1e-6;  // for the roundings of these sums themselves
    sum_bound_ = longest_row * b_.largest * kSlack;
    if (keeps_product_) return;
    sum_bound_ = bound_after_rounding(arithmetic_.product, sum_bound_, taps);
  }

  // The product's format changes no product.
  bool product_is_exact() const {
    return keeps_product_ || keeps(arithmetic_.product, {largest_, last_bit_, bits_});
  }
  // The last bit of all rounded products.
  int product_last_bit() const {
    return keeps_product_ ? last_bit_ : tensorquant::last_bit(arithmetic_.product);
  }

  // The accumulator's format changes no partial sum of numbers with that last bit.
  bool sum_is_exact(int last_bit) const {
    return keeps(arithmetic_.accumulator, {sum_bound_, last_bit, bits_up_to(sum_bound_, last_bit)});
  }
  bool sum_can_saturate() const {
    return sum_bound_ > std::ldexp(accumulator_->highest_integer(), -accumulator_->fraction);
  }
  bool rounds_at_the_end() const { return mode_ == Accumulate::Mode::once; }

  std::optional<SumPlan> exact(SumConstants& c) const {
    if (!product_is_exact() || !(rounds_at_the_end() || sum_is_exact(last_bit_))) return {};
    if (fits(sum_bound_, last_bit_, 24) && last_bit_ >= -149) {
      return SumPlan{SumKernel::exact, false, false, false,
                     "no product and no sum can round or saturate"};
    }
    if (!fits(sum_bound_, last_bit_, 53)) return {};
    c.rounds_products = false;
    return SumPlan{SumKernel::fixed_double, false, false, false,
                   "no product and no sum can round or saturate; the sums need float64"};
  }

  // What the fixed-point kernels have in common.
  struct Fixed {
    bool clamps_products, clamps_sums, rounds_sums;
    double largest_product;  // in steps of the product, after it was clamped
    double largest_sum;      // in steps of the product, after it was clamped
  };
  std::optional<Fixed> fixed() const {
    if (keeps_product_ || !product_ || product_->overflow != FixedPoint::Overflow::saturate ||
        mode_ == Accumulate::Mode::chunk) {
      // A chunk's own sum needs a register of its own; where nothing can happen to the sum it is
      // as good as once.
      const bool nothing_happens = product_ && !keeps_product_ &&
                                   product_->overflow == FixedPoint::Overflow::saturate &&
                                   sum_is_exact(-product_->fraction);
      if (!nothing_happens) return {};
    }
    const double steps = power(product_->fraction);
    Fixed f{};
    f.clamps_products = largest_ * steps + 1 > product_->highest_integer();
    f.largest_product = f.clamps_products ? -product_->lowest_integer() : largest_ * steps + 1;
    f.largest_sum = sum_bound_ * steps;
    if (rounds_at_the_end() || sum_is_exact(-product_->fraction)) return f;
    if (!accumulator_ || accumulator_->overflow != FixedPoint::Overflow::saturate) return {};
    f.rounds_sums = accumulator_->fraction < product_->fraction;
    f.clamps_sums =
        f.rounds_sums
            ? sum_bound_ + static_cast<double>(sums_.taps()) * power(-accumulator_->fraction) >
                  std::ldexp(accumulator_->highest_integer(), -accumulator_->fraction)
            : sum_can_saturate();
    if (f.clamps_sums) {
      f.largest_sum =
          std::ldexp(-accumulator_->lowest_integer(), product_->fraction - accumulator_->fraction);
    } else {
      f.largest_sum +=
          static_cast<double>(sums_.taps()) * power(product_->fraction - accumulator_->fraction);
    }
    return f;
  }

  static std::string told(const Fixed& f, const char* sums) {
    std::string text = f.clamps_products ? "products can saturate" : "no product can saturate";
    text += f.rounds_sums ? ", sums are rounded" : ", sums are never rounded";
    text += f.clamps_sums ? " and can saturate" : " and cannot saturate";
    return text + "; " + sums;
  }
  static SumPlan planned(SumKernel kernel, const Fixed& f, const char* sums) {
    return {kernel, f.clamps_products, f.clamps_sums, f.rounds_sums, told(f, sums)};
  }

  void set_limits(const Fixed& f, double product_scale, double sum_scale, SumConstants& c) const {
    c.lowest_product = product_->lowest_integer() * product_scale;
    c.highest_product = product_->highest_integer() * product_scale;
    if (!f.clamps_sums) return;
    c.lowest_sum = accumulator_->lowest_integer() * sum_scale;
    c.highest_sum = accumulator_->highest_integer() * sum_scale;
  }

  // All products are below 2^grid_bits() times their common last bit. A factor that is larger by
  // 2^-grid_bits() of itself turns ties to even into ties away from zero: it moves a product by
  // less than that bit, and so over no half step but the one on which it lies.
  int grid_bits() const { return largest_ == 0 ? 0 : std::ilogb(largest_) + 1 - last_bit_; }

  // For products that the machine rounds by itself; ties away from zero need a larger factor, too.
  bool set_machine_rounding(SumConstants& c) const {
    const Rounding rounding = product_->rounding;
    if (rounding == Rounding::down) c.machine_rounding = FE_DOWNWARD;
    if (rounding == Rounding::up) c.machine_rounding = FE_UPWARD;
    return rounding != Rounding::zero && rounding != Rounding::stochastic;
  }

  std::optional<SumPlan> fixed_int(SumConstants& c) const {
    const std::optional<Fixed> f = fixed();
    if (!f || f->rounds_sums) return {};
    if (!set_machine_rounding(c)) return {};
    // Where products are steps nothing rounds.
    if (product_->rounding == Rounding::nearest && last_bit_ < -product_->fraction) {
      if (a_.significant_bits + grid_bits() > 24) return {};
      c.a_scale = 1 + power(-grid_bits());
    }
    constexpr double kMost = 0x400000 - 2;  // steps, around magic
    if (f->largest_product > kMost) return {};
    c.shift = f->clamps_sums ? accumulator_->fraction - product_->fraction : 0;
    if ((f->largest_sum + f->largest_product) * power(c.shift) >= 0x7FFFFFFF) return {};
    // magic and the scaled factor must be normal numbers of float32.
    if (a_.largest != 0 && (a_.largest > 0x1p126f || a_.last_bit < -126 + 24)) return {};
    c.unit = power(-product_->fraction - c.shift);
    c.magic = 0xC00000 * power(-product_->fraction);
    set_limits(*f, 1, 1, c);
    return planned(SumKernel::fixed_int, *f, "sums fit into int32");
  }

  std::optional<SumPlan> fixed_float(SumConstants& c) const {
    const std::optional<Fixed> f = fixed();
    if (!f || f->rounds_sums) return {};
    c.product_rounding = product_->rounding;
    if (product_->rounding != Rounding::zero && product_->rounding != Rounding::nearest) return {};
    if (f->clamps_sums && accumulator_->fraction != product_->fraction) return {};
    constexpr double kMost = 0x800000;
    if (f->largest_product > kMost || f->largest_sum + f->largest_product > 2 * kMost) return {};
    // a 2^fraction must be exact, and products must not fall below the normal numbers unseen.
    const int fraction = product_->fraction;
    if (a_.largest != 0 && (a_.largest * power(fraction) > 0x1p126 ||
                            a_.last_bit + fraction < -149 || last_bit_ + fraction < -149)) {
      return {};
    }
    c.machine_rounding = FE_TOWARDZERO;
    c.unit = power(-fraction);
    c.a_scale = power(fraction);
    set_limits(*f, 1, 1, c);
    return planned(SumKernel::fixed_float, *f, "sums are integers in float32");
  }

  std::optional<SumPlan> fixed_double(SumConstants& c) const {
    if (keeps_product_) return fixed_sums_of_exact_products(c);
    const std::optional<Fixed> f = fixed();
    if (!f) return {};
    if (!set_machine_rounding(c)) return {};
    if (product_->rounding == Rounding::nearest) c.a_scale = 1 + 0x1p-50;
    if (f->rounds_sums && !set_sum_rounding(c)) return {};
    // Units are the steps of the sum where it is rounded or clamped, else those of the product.
    const bool has_own_units = f->rounds_sums || f->clamps_sums;
    const int fraction = has_own_units ? accumulator_->fraction : product_->fraction;
    const int finer = product_->fraction - fraction;  // a product's step is 2^-finer units
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
    set_limits(*f, power(-finer), 1, c);
    return planned(SumKernel::fixed_double, *f, "sums are integers in float64");
  }

  bool set_sum_rounding(SumConstants& c) const {
    c.sum_rounding = accumulator_->rounding;
    return *c.sum_rounding == Rounding::even || *c.sum_rounding == Rounding::nearest;
  }

  // s = A(s + x w), where s + x w is exact in float64.
  std::optional<SumPlan> fixed_sums_of_exact_products(SumConstants& c) const {
    if (!accumulator_ || accumulator_->overflow != FixedPoint::Overflow::saturate ||
        rounds_at_the_end() || mode_ == Accumulate::Mode::chunk) {
      return {};
    }
    Fixed f{};
    f.rounds_sums = last_bit_ < -accumulator_->fraction;
    f.clamps_sums = true;
    const int last_bit = std::min(last_bit_, -accumulator_->fraction);
    const double most =
        std::ldexp(-accumulator_->lowest_integer(), -accumulator_->fraction) + largest_;
    if (!fits(most, last_bit, 51)) return {};
    if (f.rounds_sums && !set_sum_rounding(c)) return {};
    c.rounds_products = false;
    c.unit = power(-accumulator_->fraction);
    c.a_scale = power(accumulator_->fraction);
    c.lowest_sum = accumulator_->lowest_integer();
    c.highest_sum = accumulator_->highest_integer();
    return planned(SumKernel::fixed_double, f, "exact products, sums in float64");
  }

  // Identity is binary32.
  static std::optional<FloatingPoint> rounded_to_even(const GridFormat& format) {
    if (is_none(format)) return FloatingPoint{8, 23};
    const auto* f = std::get_if<FloatingPoint>(&format);
    return f != nullptr && f->rounding == Rounding::even ? std::optional(*f) : std::nullopt;
  }

  std::optional<SumPlan> minifloat(SumConstants& c) const {
    if (rounds_at_the_end() || mode_ == Accumulate::Mode::chunk) return {};
    const auto sum = rounded_to_even(arithmetic_.accumulator);
    const auto product = keeps_product_ ? std::nullopt : rounded_to_even(arithmetic_.product);
    if (!sum || (!keeps_product_ && !product)) return {};
    const auto taps = static_cast<double>(sums_.taps());
    const double most =
        (sum_bound_ + taps * sum->smallest()) * std::pow(1 + power(-sum->significand_bits), taps);
    if (!(std::max(most, largest_) < 0x1p120)) return {};
    const bool overflows = (product && largest_ > product->largest()) || most > sum->largest();
    const auto saturates = [](const std::optional<FloatingPoint>& f) {
      return !f || f->overflow == FloatingPoint::Overflow::saturate;
    };
    if (overflows && !(saturates(product) && saturates(sum))) return {};

    const auto is_small = [](const FloatingPoint& f) {
      return f.significand_bits <= 10 && f.exponent_bits <= 7;
    };
    // Two roundings are as good as one where no addend has more bits than the accumulator, or where
    // the first one does nothing: sums are multiples of the products' last bit.
    const bool adds_alike = product && product->significand_bits <= sum->significand_bits;
    const bool fits_float = is_small(*sum) && (!product || is_small(*product)) && bits_ <= 24 &&
                            last_bit_ >= -149 && (adds_alike || fits(most, product_last_bit(), 24));
    if (!fits_float && !adds_alike && !fits(most, product_last_bit(), 53)) return {};
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

  std::optional<SumPlan> stochastic(SumConstants& c) const {
    const std::optional<Fixed> f = fixed();
    if (!f || f->rounds_sums || product_->rounding != Rounding::stochastic) return {};
    constexpr double kMost = 0x400000 - 2;  // steps, around magic
    if (f->largest_product > kMost) return {};
    c.shift = f->clamps_sums ? accumulator_->fraction - product_->fraction : 0;
    if ((f->largest_sum + f->largest_product) * power(c.shift) >= 0x7FFFFFFF) return {};
    const int fraction = product_->fraction;
    if (a_.largest != 0 &&
        (a_.largest * power(fraction) > 0x1p126 || a_.last_bit + fraction < -149)) {
      return {};
    }
    c.random_bits = product_->random_bits;
    c.machine_rounding = c.random_bits > 0 ? FE_DOWNWARD : FE_UPWARD;
    c.unit = power(-fraction - c.shift);
    c.a_scale = power(fraction);
    set_limits(*f, 1, 1, c);
    return planned(SumKernel::stochastic, *f, "random products, sums fit into int32");
  }

  // The tiles round sums to odd first, which serves all formats but those that look at bits far
  // below the result or far above it.
  SumPlan slow() const {
    const auto reference = [](const char* reason) {
      return SumPlan{SumKernel::reference, true, true, true, reason};
    };
    const int last_bit = product_last_bit();
    if (mode_ == Accumulate::Mode::once || mode_ == Accumulate::Mode::chunk) {
      if (!fits(sum_bound_, last_bit, 53) || !a_.is_finite || !b_.is_finite) {
        return reference("the sum of several products needs more than float64");
      }
    }
    if (!takes_odd(arithmetic_.accumulator)) {
      const double ends = largest_of(arithmetic_.accumulator);
      double most = ends;
      int lowest = std::min(last_bit, tensorquant::last_bit(arithmetic_.accumulator));
      const double product = keeps_product_
                                 ? largest_
                                 : std::min(bound_after_rounding(arithmetic_.product, largest_, 1),
                                            largest_of(arithmetic_.product));
      most += mode_ == Accumulate::Mode::step || mode_ == Accumulate::Mode::fused
                  ? product
                  : product * static_cast<double>(sums_.taps());
      if (has_bias()) {
        const FactorFacts bias =
            facts_of({sums_.row_bias ? sums_.row_bias : sums_.column_bias,
                      sums_.row_bias ? sums_.rows.size() : sums_.columns.size()});
        lowest = std::min(lowest, bias.last_bit);
        most = bias.is_finite ? std::max(most, ends + bias.largest) : INFINITY;
      }
      if (!a_.is_finite || !b_.is_finite || !fits(most, lowest, 53)) {
        return reference("the accumulator looks at more bits than float64 has");
      }
    }
    return {SumKernel::tiles, true, true, true, "formats without a kernel of their own"};
  }

  const Arithmetic& arithmetic_;
  const Accumulate::Mode mode_;
  const FixedPoint* product_;      // null: of another kind
  const FixedPoint* accumulator_;  // likewise
  const SumsOfProducts<float>& sums_;
  const FactorFacts a_, b_;
  const bool keeps_product_;
  double largest_ = 0;  // magnitude of an exact product
  int last_bit_ = 0;    // of all exact products
  int bits_ = 0;        // significant bits of an exact product
  double sum_bound_ = INFINITY;
};

// Random words come for neighbouring outputs, which should be columns then.
bool are_neighbours(const std::vector<std::int64_t>& places) {
  return places.size() > 1 && places[1] == places[0] + 1;
}
SumsOfProducts<float> turned(SumsOfProducts<float> sums) {
  std::swap(sums.a, sums.b);
  std::swap(sums.rows, sums.columns);
  std::swap(sums.row_bias, sums.column_bias);
  return sums;
}

void run(const SumJob& job, RangeReport* report) {
  switch (job.plan.kernel) {
    case SumKernel::reference:
      return sums_of_products_reference(job.arithmetic, job.context, job.sums);
    case SumKernel::tiles:
      return run_tiles(job, report);
    default:
      return run_sum_kernel(job);
  }
}

}  // namespace

std::string to_string(SumKernel kernel) {
  switch (kernel) {
    case SumKernel::reference:
      return "reference";
    case SumKernel::tiles:
      return "tiles";
    case SumKernel::exact:
      return "exact";
    case SumKernel::fixed_int:
      return "fixed_int";
    case SumKernel::fixed_float:
      return "fixed_float";
    case SumKernel::fixed_double:
      return "fixed_double";
    case SumKernel::minifloat:
      return "minifloat";
    case SumKernel::stochastic:
      break;
  }
  return "stochastic";
}

SumPlan sums_of_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                         const SumsOfProducts<float>& sums, RangeReport* report) {
  const DefaultFloatEnvironment environment;  // looking at the numbers must not flush them
  if (is_random(arithmetic.product) && !are_neighbours(sums.columns) && are_neighbours(sums.rows)) {
    return sums_of_products(arithmetic, context, turned(sums), report);
  }
  SumJob job{arithmetic, context, sums, {}, {}};
  if (sums.rows.empty() || sums.columns.empty()) {
    job.plan.reason = "there is no output";
    return job.plan;
  }
  job.plan = Planner(arithmetic, sums).plan(job.constants);
  if (report != nullptr || sums.outside != nullptr) {
    // The tiles look. Where they may be wrong in a last bit, the reference has the last word.
    const bool is_reference = job.plan.kernel == SumKernel::reference;
    job.plan.kernel = SumKernel::tiles;
    run(job, report);
    if (!is_reference) return job.plan;
    job.plan.kernel = SumKernel::reference;
  }
  run(job, nullptr);
  return job.plan;
}

SumPlan sums_of_products(const Arithmetic& arithmetic, const ArithmeticContext& context,
                         const SumsOfProducts<double>& sums) {
  sums_of_products_reference(arithmetic, context, sums);
  return {SumKernel::reference, true, true, true, "float64 tensors"};
}

}  // namespace tensorquant
