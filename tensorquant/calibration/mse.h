#ifndef TENSORQUANT_CALIBRATION_MSE_H_
#define TENSORQUANT_CALIBRATION_MSE_H_

#include "tensorquant/calibration/counters.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// The amax with the smallest mean squared error: among amax0 * j / 128, j = 16..128, each rounded
// to float32, the one for which the numbers v, each the middle of its counter, lose least by
//   Q(v) = s * element(v / s), s = amax / mse_largest(element),
// computed in float32, the squares added up in double in the order of the numbers. Ties go to the
// larger amax.
float mse_amax(const Counters& counters, const Quantizer& element);

// The element's largest value. Throws an Error where there is none, and for an element whose
// results do not depend on the number alone.
float mse_largest(const Quantizer& element);

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_MSE_H_
