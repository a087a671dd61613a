#ifndef TENSORQUANT_ARITHMETIC_SUMS_LOOKING_H_
#define TENSORQUANT_ARITHMETIC_SUMS_LOOKING_H_

#include <mutex>

#include "tensorquant/arithmetic/sums/sum_bounds.h"
#include "tensorquant/arithmetic/sums/sum_kernels.h"

namespace tensorquant {

// A report to which several threads add what they have found.
class SharedReport {
 public:
  explicit SharedReport(RangeReport& report) : report_(report) {}
  void merge(const RangeReport& part) {
    const std::lock_guard lock(mutex_);
    report_.merge(part);
  }

 private:
  std::mutex mutex_;
  RangeReport& report_;
};

// Runs a job whose kernel is proved, and tells all that RangeReport and SumsOfProducts::outside ask
// for. The plan becomes that of the loop that looked.
void run_looking(const SumBounds& bounds, SumJob& job, RangeReport* report);

// The kernels `exact` to `minifloat`, where run_looking() has proved what is said there.
void run_looking_kernel(const SumJob& job);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_LOOKING_H_
