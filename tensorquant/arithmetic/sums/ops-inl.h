// The ops of plans, by types. Compiled once a target.
#if defined(TENSORQUANT_ARITHMETIC_SUMS_OPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENSORQUANT_ARITHMETIC_SUMS_OPS_INL_H_
#undef TENSORQUANT_ARITHMETIC_SUMS_OPS_INL_H_
#else
#define TENSORQUANT_ARITHMETIC_SUMS_OPS_INL_H_
#endif

#include <type_traits>

#include "tensorquant/arithmetic/sums/fixed_sum-inl.h"
#include "tensorquant/arithmetic/sums/minifloat_sum-inl.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace tensorquant {
namespace HWY_NAMESPACE {

// run(constant) with the flag as a compile-time constant.
template <class Run>
void With(bool flag, const Run& run) {
  flag ? run(std::true_type()) : run(std::false_type());
}

template <bool clamps_sums, class Run>
void WithFixedDouble(const SumJob& job, const Run& run) {
  const SumConstants& c = job.constants;
  const auto with_rounding = [&](const auto& run_it) {
    if (*c.sum_rounding == Rounding::even) {
      run_it(std::integral_constant<int, kEven>());
    } else {
      run_it(std::integral_constant<int, kNearest>());
    }
  };
  if (!c.rounds_products) {
    if (!c.sum_rounding) return run(FixedDoubleOp<false, false, clamps_sums>(c));
    return with_rounding(
        [&](auto rounding) { run(RoundedExactOp<rounding.value, clamps_sums>(c)); });
  }
  With(job.plan.clamps_products, [&](auto products) {
    if (c.sum_rounding) {
      with_rounding([&](auto rounding) {
        run(RoundedDoubleOp<products.value, rounding.value, clamps_sums>(c));
      });
    } else if constexpr (clamps_sums) {
      run(FixedDoubleOp<true, products.value, true>(c));
    } else {
      run(FixedLongOp<products.value>(c));
    }
  });
}

// run(ends) with the ends as a compile-time constant.
template <class Run>
void WithEnds(MinifloatEnds ends, const Run& run) {
  switch (ends) {
    case MinifloatEnds::open:
      return run(std::integral_constant<MinifloatEnds, MinifloatEnds::open>());
    case MinifloatEnds::clamp:
      return run(std::integral_constant<MinifloatEnds, MinifloatEnds::clamp>());
    case MinifloatEnds::infinite:
      return run(std::integral_constant<MinifloatEnds, MinifloatEnds::infinite>());
    case MinifloatEnds::replace:
      return run(std::integral_constant<MinifloatEnds, MinifloatEnds::replace>());
  }
}

// What plan_minifloat() plans.
constexpr bool IsPlanned(MinifloatProducts products, MinifloatSums sums, MinifloatEnds product_ends,
                         MinifloatEnds sum_ends, bool to_zero) {
  using enum MinifloatEnds;
  if (products != MinifloatProducts::rounded && product_ends != open) return false;
  if (sums == MinifloatSums::machine && sum_ends != open) return false;
  if (to_zero && (product_ends > clamp || sum_ends > clamp)) return false;
  return product_ends == open || sum_ends == open || product_ends == sum_ends;
}

template <class Lane, MinifloatProducts products, MinifloatSums sums, bool to_zero, class Run>
void WithMinifloat(const SumJob& job, const Run& run) {
  const MinifloatSteps& steps = job.constants.minifloat;
  WithEnds(steps.product_ends, [&](auto product_ends) {
    WithEnds(steps.sum_ends, [&](auto sum_ends) {
      constexpr MinifloatEnds kProducts = product_ends.value, kSums = sum_ends.value;
      if constexpr (IsPlanned(products, sums, kProducts, kSums, to_zero)) {
        run(MinifloatOp<Lane, products, sums, kProducts, kSums, to_zero>(job.constants));
      }
    });
  });
}

template <class Lane, MinifloatProducts products, bool to_zero, class Run>
void WithMinifloat(const SumJob& job, const Run& run) {
  switch (job.constants.minifloat.sums) {
    case MinifloatSums::machine:
      return WithMinifloat<Lane, products, MinifloatSums::machine, to_zero>(job, run);
    case MinifloatSums::rounded:
      return WithMinifloat<Lane, products, MinifloatSums::rounded, to_zero>(job, run);
    case MinifloatSums::small:
      return WithMinifloat<Lane, products, MinifloatSums::small, to_zero>(job, run);
    case MinifloatSums::odd:
      return WithMinifloat<double, products, MinifloatSums::odd, false>(job, run);
  }
}

template <class Lane, bool to_zero, class Run>
void WithMinifloat(const SumJob& job, const Run& run) {
  switch (job.constants.minifloat.products) {
    case MinifloatProducts::exact:
      return WithMinifloat<Lane, MinifloatProducts::exact, to_zero>(job, run);
    case MinifloatProducts::machine:
      return WithMinifloat<float, MinifloatProducts::machine, MinifloatSums::machine, false>(job,
                                                                                             run);
    case MinifloatProducts::rounded:
      return WithMinifloat<Lane, MinifloatProducts::rounded, to_zero>(job, run);
  }
}

template <class Run>
void WithMinifloat(const SumJob& job, const Run& run) {
  const MinifloatSteps& steps = job.constants.minifloat;
  if (steps.in_double) return WithMinifloat<double, false>(job, run);
  steps.to_zero ? WithMinifloat<float, true>(job, run) : WithMinifloat<float, false>(job, run);
}

// run(op) with the op of the plan, one of those that add up tap by tap.
template <class Run>
void WithOp(const SumJob& job, const Run& run) {
  const SumConstants& c = job.constants;
  const bool clamps_products = job.plan.clamps_products, clamps_sums = job.plan.clamps_sums;
  switch (job.plan.kernel) {
    case SumKernel::exact:
      return run(ExactOp());
    case SumKernel::fixed_int:
      return With(clamps_products, [&](auto products) {
        With(clamps_sums, [&](auto sums) {
          With(c.shift > 0,
               [&](auto shifts) { run(FixedIntOp<products.value, sums.value, shifts.value>(c)); });
        });
      });
    case SumKernel::fixed_float:
      return With(clamps_products, [&](auto products) {
        With(clamps_sums, [&](auto sums) {
          With(c.product_rounding == Rounding::nearest, [&](auto nearest) {
            run(FixedFloatOp<nearest.value, products.value, sums.value>(c));
          });
        });
      });
    case SumKernel::fixed_double:
      return With(clamps_sums, [&](auto sums) { WithFixedDouble<sums.value>(job, run); });
    case SumKernel::minifloat:
      return WithMinifloat(job, run);
    default:
      return;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tensorquant
HWY_AFTER_NAMESPACE();

#endif  // TENSORQUANT_ARITHMETIC_SUMS_OPS_INL_H_
