#ifndef TENSORQUANT_ARITHMETIC_SUMS_SUM_PLANS_H_
#define TENSORQUANT_ARITHMETIC_SUMS_SUM_PLANS_H_

#include <optional>
#include <span>

#include "tensorquant/arithmetic/sums/sum_bounds.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

namespace tensorquant {

// The first kernel that is proved, the fastest ones first, and the constants for it.
SumPlan plan(const SumBounds& bounds, SumConstants& constants);

using SumProof = std::optional<SumPlan> (*)(const SumBounds& bounds, SumConstants& constants);

// The first of these that holds; nothing where the numbers or the machine allow none.
std::optional<SumPlan> first_plan(std::span<const SumProof> proofs, const SumBounds& bounds,
                                  SumConstants& constants);

// The proofs that a kernel is equal to the reference, one for each kernel: its plan and the
// constants that it runs with, or nothing where the bounds do not prove it. The factors are finite,
// but for plan_minifloat().
// Constants are those of a new SumConstants where nothing else is said.
std::optional<SumPlan> plan_integer(const SumBounds& bounds, SumConstants& constants);
std::optional<SumPlan> plan_exact(const SumBounds& bounds, SumConstants& constants);
std::optional<SumPlan> plan_fixed_int(const SumBounds& bounds, SumConstants& constants);
std::optional<SumPlan> plan_fixed_float(const SumBounds& bounds, SumConstants& constants);
std::optional<SumPlan> plan_fixed_double(const SumBounds& bounds, SumConstants& constants);
std::optional<SumPlan> plan_minifloat(const SumBounds& bounds, SumConstants& constants);
std::optional<SumPlan> plan_stochastic(const SumBounds& bounds, SumConstants& constants);
// For Accumulate::align, which no other kernel serves.
std::optional<SumPlan> plan_align(const SumBounds& bounds, SumConstants& constants);

// For all other sums, of any numbers: tiles, or the reference where they are not provably equal.
SumPlan plan_tiles_or_reference(const SumBounds& bounds, SumConstants& constants);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_SUM_PLANS_H_
