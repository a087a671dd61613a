#ifndef TENSORQUANT_KERNELS_SIMD_TARGET_H_
#define TENSORQUANT_KERNELS_SIMD_TARGET_H_

#include <cstdint>
#include <string>
#include <vector>

namespace tensorquant {

// An instruction set that the kernels are compiled for, for example "AVX2".
struct SimdTarget {
  std::string name;
  std::int64_t id;
};

// Those that this machine can run, best first. Kernels choose the best by themselves.
std::vector<SimdTarget> simd_targets();

// Makes the kernels of the whole process use one target while it lives: for tests and benchmarks.
class ScopedSimdTarget {
 public:
  explicit ScopedSimdTarget(const SimdTarget& target);
  ~ScopedSimdTarget();
  ScopedSimdTarget(const ScopedSimdTarget&) = delete;
  ScopedSimdTarget& operator=(const ScopedSimdTarget&) = delete;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_SIMD_TARGET_H_
