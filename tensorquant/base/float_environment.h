#ifndef TENSORQUANT_BASE_FLOAT_ENVIRONMENT_H_
#define TENSORQUANT_BASE_FLOAT_ENVIRONMENT_H_

#include <cfenv>

namespace tensorquant {

// While it lives this thread computes as IEEE 754 wants it: round to nearest even, subnormals kept.
// Callers such as libtorch with set_flush_denormal(true) or TensorFlow flush them (FTZ, DAZ), which
// would change results.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&saved_); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
  std::fenv_t saved_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_FLOAT_ENVIRONMENT_H_
