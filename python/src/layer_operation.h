#ifndef TENSORQUANT_PYTHON_SRC_LAYER_OPERATION_H_
#define TENSORQUANT_PYTHON_SRC_LAYER_OPERATION_H_

#include <string_view>

#include "tensorquant/arithmetic/layers/operation.h"

namespace tensorquant::python {

// What an Operation of tensorquant.ops says: an operation, and how it rounds.
struct LayerOperation {
  Operation operation;
  Arithmetic arithmetic;
  ArithmeticContext context;  // but for the step
};

// From the JSON that operation.py writes. Throws an Error.
LayerOperation read_operation(std::string_view text);

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_LAYER_OPERATION_H_
