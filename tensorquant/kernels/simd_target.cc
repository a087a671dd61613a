#include "tensorquant/kernels/simd_target.h"

#include <hwy/highway.h>

namespace tensorquant {

std::vector<SimdTarget> simd_targets() {
  std::vector<SimdTarget> targets;
  // Better targets have lower bits.
  for (std::int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    const std::int64_t target = left & -left;
    targets.push_back({hwy::TargetName(target), target});
  }
  return targets;
}

ScopedSimdTarget::ScopedSimdTarget(const SimdTarget& target) {
  hwy::SetSupportedTargetsForTest(target.id);
}

ScopedSimdTarget::~ScopedSimdTarget() { hwy::SetSupportedTargetsForTest(0); }

}  // namespace tensorquant
