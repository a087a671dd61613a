#ifndef TENSORQUANT_BASE_FLOAT_ENVIRONMENT_H_
#define TENSORQUANT_BASE_FLOAT_ENVIRONMENT_H_

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
#include <cfenv>
#endif

namespace tensorquant {

// While it lives this thread computes as IEEE 754 wants it: round to nearest even, subnormals kept.
// Callers such as libtorch with set_flush_denormal(true) or TensorFlow flush them (FTZ, DAZ), which
// would change results.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

#if defined(__x86_64__)
  // The environment of SSE and AVX alone: that of the x87, which nothing here computes with, would
  // take a hundred times as long.
  DefaultFloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(kAllExceptionsMasked); }
  ~DefaultFloatEnvironment() { _mm_setcsr(saved_); }

 private:
  static constexpr unsigned kAllExceptionsMasked = 0x1F80;
  unsigned saved_;
#else
  DefaultFloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif
};

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_FLOAT_ENVIRONMENT_H_
