#ifndef TENSORQUANT_SEARCH_TENSOR_FIT_H_
#define TENSORQUANT_SEARCH_TENSOR_FIT_H_

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tensorquant/calibration/range.h"
#include "tensorquant/quantizers/quantizer_report.h"

namespace tensorquant {

// Sum of (q(x) - x)^2, in double and in order.
double squared_error(const Quantizer& quantizer, std::span<const float> x,
                     const Context& context = {});

// nearest,bits,F for fixed point that covers the range, and for the three next finer ones, which
// let the largest values saturate: one of them has the least squared error.
std::vector<std::shared_ptr<const Quantizer>> fixed_point_candidates(int bits,
                                                                     const ValueRange& range);

// What a quantizer makes of a tensor that comes in parts.
struct TensorFit {
  double error = 0, power = 0;  // sums of (q(x) - x)^2 and of x^2, one per part
  double largest = 0;           // of abs(q(x))
  QuantizerReport counts;

  void add(const Quantizer& quantizer, std::span<const float> x, const Context& context = {});

  std::optional<double> noise() const;  // error / power; nothing of a tensor of zeros
  std::optional<double> sqnr() const;   // in dB; nothing where there is no error
  // Bits at the top that no value uses; nothing where the format has no bound.
  std::optional<int> idle_bits(const Quantizer& quantizer) const;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_TENSOR_FIT_H_
