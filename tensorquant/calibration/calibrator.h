#ifndef TENSORQUANT_CALIBRATION_CALIBRATOR_H_
#define TENSORQUANT_CALIBRATION_CALIBRATOR_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "tensorquant/calibration/counters.h"
#include "tensorquant/calibration/entropy.h"
#include "tensorquant/calibration/method.h"
#include "tensorquant/calibration/moving_average.h"
#include "tensorquant/calibration/range.h"
#include "tensorquant/calibration/summary.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// Throws an Error that names `what` where the method cannot find an amax for this element: to be
// asked before the data run through.
void check_element(const CalibrationMethod& method, const Quantizer& element,
                   const std::string& what);

// Watches one tensor of a network, such as a layer's output, while data runs through, and finds the
// range that a scale is to cover. It keeps what its method needs, never the numbers: 512 KB at
// most. But for `average` the results depend on the numbers alone, not on batches, their order or
// threads. NaN and infinities are counted and left out.
//
//   Calibrator calibrator(make_calibration_method("entropy"));
//   for each pass, for each batch: calibrator.observe(values); calibrator.end_batch();
//   after a pass, where there is another one: calibrator.begin_second_pass();
//   calibrator.amax(*make_quantizer("even,8,0"), "the output of conv1")
class Calibrator {
 public:
  explicit Calibrator(const CalibrationMethod& method);

  // Numbers that the tensor had: a batch may come in several pieces, for tensors that a network
  // computes several times.
  void observe(std::span<const float> values);
  // As float32, see float32_parts.h.
  void observe(std::span<const double> values);
  // All of a batch has been observed. Only `average` needs to know; what comes behind the last call
  // is a batch, too.
  void end_batch();
  // Where the method has two passes(): the same numbers come once more, in any order. An Error
  // where it has not, or where the second pass has begun.
  void begin_second_pass();

  const CalibrationMethod& method() const { return method_; }
  // What the first pass has seen, for reports of NaN and infinities.
  const Summary& summary() const { return counters_ ? counters_->summary() : summary_; }

  // The ends to be covered, float32 numbers both, for scale=range and fixed point. Throws an Error
  // that names `what` where there was no finite number, or where the method finds no range.
  ValueRange range(const std::string& what) const;
  // The largest magnitude to be covered, 0 where all numbers were 0. `mse` and `entropy` look at
  // the element, which is the quantizer without a scale. Throws an Error that names `what` where
  // there was no finite number, where a second pass is missing or had other numbers, or as
  // check_element() does.
  float amax(const Quantizer& element, const std::string& what) const;

 private:
  template <class T>
  void observe_all(std::span<const T> values);
  ValueRange average() const;
  float entropy(const Quantizer& element, const std::string& what) const;

  CalibrationMethod method_;
  Summary summary_;                    // where no counters keep one
  std::optional<Counters> counters_;   // percentile, mse
  std::optional<EqualBins> bins_;      // entropy, in the second pass
  std::optional<MovingAverage> past_;  // average: the batches that have ended
  Summary batch_;                      // and the one that has not
};

}  // namespace tensorquant

#endif  // TENSORQUANT_CALIBRATION_CALIBRATOR_H_
