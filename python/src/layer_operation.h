#ifndef TENSORQUANT_PYTHON_SRC_LAYER_OPERATION_H_
#define TENSORQUANT_PYTHON_SRC_LAYER_OPERATION_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "tensorquant/arithmetic/layers/operation.h"

namespace tensorquant::python {

// What an Operation of tensorquant.ops says: an operation, and how it rounds.
struct LayerOperation {
  Operation operation;
  Arithmetic arithmetic;
  ArithmeticContext context;  // but for the step
  // What made x and the weights whose scales are further inputs, the last ones; null without.
  std::shared_ptr<const Quantizer> x_scales, w_scales;

  std::size_t scales() const {
    return (x_scales == nullptr ? 0U : 1U) + (w_scales == nullptr ? 0U : 1U);
  }
};

// Along which axis of x, or of the weights, of so many axes the operation adds up channels.
std::size_t axis_of_sum(const Operation& operation, bool is_weight, std::size_t rank);

// From the JSON that operation.py writes. Throws an Error.
LayerOperation read_operation(std::string_view text);

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_LAYER_OPERATION_H_
