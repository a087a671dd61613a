#ifndef TENSORQUANT_CALIBRATION_MOVING_AVERAGE_H_
#define TENSORQUANT_CALIBRATION_MOVING_AVERAGE_H_

#include "tensorquant/calibration/range.h"
#include "tensorquant/calibration/summary.h"

namespace tensorquant {

// The lowest and the highest number of a batch, averaged over batches: those of the first, then
// m += c * (those of the batch - m), in double. By definition it depends on what a batch is, and on
// their order.
class MovingAverage {
 public:
  explicit MovingAverage(double c) : c_(c) {}

  // The next batch; one without finite numbers leaves all as it was.
  void add(const Summary& batch);
  // Rounded to float32; empty before the first batch.
  ValueRange range() const;

 private:
  double c_;
  ValueRange range_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_MOVING_AVERAGE_H_
