#include "tensorquant/calibration/moving_average.h"

#include "tensorquant/base/float_environment.h"

namespace tensorquant {

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
  return {static_cast<float>(range_.low), static_cast<float>(range_.high)};
}

}  // namespace tensorquant
