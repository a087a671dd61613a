#include "tensorquant/calibration/mse.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"

namespace tensorquant {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();

class SquaredError {
 public:
  SquaredError(const std::vector<Counter>& counters, const Quantizer& element)
      : counters_(counters), element_(element), scaled_(counters.size()) {}

  // Of the numbers with this scale.
  double operator()(float scale) {
    std::transform(counters_.begin(), counters_.end(), scaled_.begin(),
                   [&](const Counter& counter) { return counter.middle() / scale; });
    element_.quantize(std::span<const float>(scaled_), scaled_);
    double sum = 0;
    for (std::size_t i = 0; i < counters_.size(); ++i) {
      const double y = std::clamp(scale * scaled_[i], -kLargest, kLargest);
      const double error = counters_[i].middle() - y;
      sum += static_cast<double>(counters_[i].count) * (error * error);
    }
    return sum;
  }

 private:
  const std::vector<Counter>& counters_;
  const Quantizer& element_;
  std::vector<float> scaled_;
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
  SquaredError squared_error(ascending, element);
  float best = amax0;
  double least = std::numeric_limits<double>::infinity();
  for (int j = 128; j >= 16; --j) {
    const auto amax = static_cast<float>(double{amax0} * j / 128);
    const float scale = std::clamp(amax / largest, std::numeric_limits<float>::min(), kLargest);
    if (const double error = squared_error(scale); error < least) {
      least = error;
      best = amax;
    }
  }
  return best;
}

}  // namespace tensorquant
