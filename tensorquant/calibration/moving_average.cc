#include "tensorquant/calibration/moving_average.h"

#include "tensorquant/base/float_environment.h"

namespace tensorquant {
namespace {

// Rounded to float32. A call, as GCC 12.2 leaves out such conversions where two of them stand side
// by side.
[[gnu::noinline]] double in_float32(double x) { return static_cast<float>(x); }

}  // namespace

void MovingAverage::add(const Summary& batch) {
  if (batch.finite == 0) return;
  const DefaultFloatEnvironment environment;
  if (range_.empty()) {
    range_ = {batch.lowest, batch.highest};
    return;
  }
  range_.low += c_ * (batch.lowest - range_.low);
  range_.high += c_ * (batch.highest - range_.high);
}

ValueRange MovingAverage::range() const {
  const DefaultFloatEnvironment environment;
  return {in_float32(range_.low), in_float32(range_.high)};
}

}  // namespace tensorquant
