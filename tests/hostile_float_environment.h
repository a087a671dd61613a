#ifndef TESTS_HOSTILE_FLOAT_ENVIRONMENT_H_
#define TESTS_HOSTILE_FLOAT_ENVIRONMENT_H_

#if defined(__x86_64__)
#include <immintrin.h>

namespace tensorquant {

// While it lives the thread flushes subnormals (FTZ, DAZ) and rounds upwards, as other libraries
// sometimes leave the processor.
class HostileFloatEnvironment {
 public:
  HostileFloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u | 0x4000u); }
  ~HostileFloatEnvironment() { _mm_setcsr(saved_); }
  HostileFloatEnvironment(const HostileFloatEnvironment&) = delete;
  HostileFloatEnvironment& operator=(const HostileFloatEnvironment&) = delete;

 private:
  unsigned saved_;
};

}  // namespace tensorquant
#endif

#endif  // TESTS_HOSTILE_FLOAT_ENVIRONMENT_H_
