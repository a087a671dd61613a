#ifndef TENSORQUANT_CALIBRATION_METHOD_H_
#define TENSORQUANT_CALIBRATION_METHOD_H_

#include <span>
#include <string>
#include <string_view>

namespace tensorquant {

// How a range, or the largest magnitude, is found in the numbers that a tensor had.
struct CalibrationMethod {
  enum class Kind {
    minmax,      // the exact ends
    average,     // those of batches, averaged with weight `number`: MovingAverage
    percentile,  // between which `number` percent lie
    mse,         // with the smallest squared error: mse_amax()
    entropy,     // with the smallest Kullback-Leibler divergence: entropy_amax()
  };

  Kind kind = Kind::minmax;
  double number = 0;  // of those that have one

  // How often all numbers have to be seen.
  int passes() const { return kind == Kind::entropy ? 2 : 1; }
  // Whether it finds two ends, as scale=range wants them, and not one magnitude alone.
  bool finds_range() const { return kind != Kind::mse && kind != Kind::entropy; }

  bool operator==(const CalibrationMethod&) const = default;
};

// The method of a text: "minmax", "average=0.05", "percentile=99.9", "mse", "entropy"; 0.01 and
// 99.99 where the number is left out. Throws an Error that quotes the text and names the fault.
CalibrationMethod make_calibration_method(std::string_view text);

// The text that gives this method, with the number: "average=0.01".
std::string to_string(const CalibrationMethod& method);

// The words that a text can begin with.
std::span<const std::string> calibration_method_names();

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_METHOD_H_
