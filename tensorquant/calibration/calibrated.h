#ifndef TENSORQUANT_CALIBRATION_CALIBRATED_H_
#define TENSORQUANT_CALIBRATION_CALIBRATED_H_

#include <memory>
#include <string>

#include "tensorquant/calibration/calibrator.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// Whether the quantizer finds one scale in a whole tensor, in whose place a number can stand:
// scale=max, range, floor, ceil or round without a granularity.
bool can_be_calibrated(const Quantizer& quantizer);

// Throws an Error that begins with `what` where the method cannot find the number that such a
// quantizer wants: before any number is seen.
void check_calibration(const CalibrationMethod& method, const Quantizer& quantizer,
                       const std::string& what);

// The quantizer with numbers, scale= and where it has one zero=, in place of its rule: those that
// the rule gives for what the calibrator has found. Null where all that it has seen are zeros, to
// which any scale is right. Errors begin with `what`.
std::shared_ptr<const Quantizer> calibrated(const Quantizer& quantizer,
                                            const Calibrator& calibrator, const std::string& what);

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_CALIBRATED_H_
