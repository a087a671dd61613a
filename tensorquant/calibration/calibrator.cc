#include "tensorquant/calibration/calibrator.h"

#include <algorithm>
#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/calibration/mse.h"
#include "tensorquant/calibration/percentile.h"

namespace tensorquant {

using Kind = CalibrationMethod::Kind;

void check_element(const CalibrationMethod& method, const Quantizer& element,
                   const std::string& what) {
  try {
    if (method.kind == Kind::mse) mse_largest(element);
    if (method.kind == Kind::entropy) entropy_levels(element);
  } catch (const Error& error) {
    throw Error(what + ": " + error.what());
  }
}

Calibrator::Calibrator(const CalibrationMethod& method) : method_(method) {
  if (method.kind == Kind::percentile || method.kind == Kind::mse) counters_.emplace();
  if (method.kind == Kind::average) past_.emplace(method.number);
}

template <class T>
void Calibrator::observe_all(std::span<const T> values) {
  if (bins_) {
    bins_->add(values);
  } else if (counters_) {
    counters_->add(values);
  } else if (past_) {
    Summary seen;
    seen.add(values);
    summary_.merge(seen);
    batch_.merge(seen);
  } else {
    summary_.add(values);
  }
}

void Calibrator::observe(std::span<const float> values) { observe_all(values); }
void Calibrator::observe(std::span<const double> values) { observe_all(values); }

void Calibrator::end_batch() {
  if (!past_) return;
  past_->add(batch_);
  batch_ = {};
}

void Calibrator::begin_second_pass() {
  if (method_.passes() < 2 || bins_) {
    throw Error("calibration method '" + to_string(method_) + "' has " +
                std::to_string(method_.passes()) + (bins_ ? " passes" : " pass"));
  }
  bins_.emplace(summary_.amax());
}

ValueRange Calibrator::range(const std::string& what) const {
  if (!method_.finds_range()) {
    throw Error(what + ": calibration method '" + to_string(method_) +
                "' finds a largest magnitude, not the two ends of a range");
  }
  summary().require_finite(what);
  switch (method_.kind) {
    case Kind::average:
      return average();
    case Kind::percentile:
      return percentile_range(*counters_, method_.number);
    case Kind::minmax:
    case Kind::mse:
    case Kind::entropy:
      break;
  }
  return {summary_.lowest, summary_.highest};
}

float Calibrator::amax(const Quantizer& element, const std::string& what) const {
  check_element(method_, element, what);
  summary().require_finite(what);
  switch (method_.kind) {
    case Kind::percentile:
      return percentile_amax(*counters_, method_.number);
    case Kind::mse:
      return mse_amax(*counters_, element);
    case Kind::entropy:
      return entropy(element, what);
    case Kind::minmax:
    case Kind::average:
      break;
  }
  const ValueRange ends = range(what);
  return static_cast<float>(std::max(std::abs(ends.low), std::abs(ends.high)));
}

ValueRange Calibrator::average() const {
  MovingAverage all = *past_;
  all.add(batch_);
  return all.range();
}

float Calibrator::entropy(const Quantizer& element, const std::string& what) const {
  if (!bins_ || bins_->total() != summary_.finite) {
    throw Error(what + ": calibration method 'entropy' wants all numbers a second time, " +
                std::to_string(summary_.finite) + " finite ones, and has seen " +
                std::to_string(bins_ ? bins_->total() : 0));
  }
  return entropy_amax(*bins_, entropy_levels(element));
}

}  // namespace tensorquant
