#ifndef TENSORQUANT_CALIBRATION_PERCENTILE_H_
#define TENSORQUANT_CALIBRATION_PERCENTILE_H_

#include "tensorquant/calibration/counters.h"
#include "tensorquant/calibration/range.h"

namespace tensorquant {

// Whether `percent` is in (0, 100] and has at most 7 decimals, so that ranks are exact integers:
// 99.9 % of 3000 numbers are 2997, whatever double is next to 99.9. The functions below want one.
bool is_percentage(double percent);

// The magnitude that `percent` of all finite numbers do not exceed: the upper end of the counter
// with the magnitude of rank ceil(percent / 100 * n), but not beyond the largest one. 0 where there
// is no finite number.
float percentile_amax(const Counters& counters, double percent);

// The ends between which `percent` of all finite numbers lie, half of the others at each side: the
// outer ends of the counters of the outermost of them, but not beyond the exact ends. Empty where
// there is no finite number.
ValueRange percentile_range(const Counters& counters, double percent);

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_PERCENTILE_H_
