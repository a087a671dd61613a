#include "tensorquant/calibration/mse.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/kernels/kernels.h"

namespace tensorquant {
namespace {

class SquaredError {
 public:
  SquaredError(const std::vector<Counter>& counters, const ElementFormat& element)
      : counters_(counters), format_{element, {.rule = Scale::Rule::number}}, y_(counters.size()) {
    for (const Counter& counter : counters) middles_.push_back(counter.middle());
  }

  // Of the numbers with this scale.
  double operator()(float scale) {
    format_.scale.number = static_cast<double>(scale);
    quantize(format_, std::span<const float>(middles_), std::span<float>(y_));
    double sum = 0;
    for (std::size_t i = 0; i < counters_.size(); ++i) {
      const double error = counters_[i].middle() - static_cast<double>(y_[i]);
      sum += static_cast<double>(counters_[i].count) * (error * error);
    }
    return sum;
  }

 private:
  const std::vector<Counter>& counters_;
  Scaled format_;
  std::vector<float> middles_, y_;
};

}  // namespace

float mse_largest(const Quantizer& element) {
  if (!is_elementwise(element)) {
    throw Error(
        "calibration method 'mse' wants a format whose results depend on the number alone, unlike "
        "quantizer '" +
        element.spec() + "'");
  }
  const double largest = facts<float>(*element.format()).highest;
  if (!(largest > 0 && std::isfinite(largest))) {
    throw Error("calibration method 'mse' wants a format with a largest value, which quantizer '" +
                element.spec() + "' has not");
  }
  return static_cast<float>(largest);
}

float mse_amax(const Counters& counters, const Quantizer& element) {
  const DefaultFloatEnvironment environment;
  const float largest = mse_largest(element);
  const float amax0 = counters.summary().amax();
  const std::vector<Counter> ascending = counters.ascending();
  SquaredError squared_error(ascending, *element_of(*element.format()));
  float best = amax0;
  double least = std::numeric_limits<double>::infinity();
  for (int j = 128; j >= 16; --j) {
    const auto amax = static_cast<float>(double{amax0} * j / 128);
    const float scale = normal_scale(amax / largest);
    if (const double error = squared_error(scale); error < least) {
      least = error;
      best = amax;
    }
  }
  return best;
}

}  // namespace tensorquant
