#ifndef TENSORQUANT_PYTHON_SRC_LAYER_OPERATION_H_
#define TENSORQUANT_PYTHON_SRC_LAYER_OPERATION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"

namespace tensorquant::python {

using Sizes = std::vector<std::int64_t>;

// A linear layer, convolution or average pool with every operation rounded: what an Operation of
// tensorquant.ops says.
struct LayerOperation {
  enum class Kind { linear, convolution, average_pool };

  Kind kind = Kind::linear;
  Arithmetic arithmetic;
  ArithmeticContext context;  // but for the step
  // One entry for each spatial dimension. `kernel` is the pool's window, `dilation` the
  // convolution's alone.
  Sizes kernel, stride, dilation, padding_begin, padding_end;
  std::int64_t groups = 1;
  bool count_include_pad = true;
};

// From the JSON that operation.py writes. Throws an Error.
LayerOperation read_operation(std::string_view text);

// The result's shape. Sizes that are not known are -1. Throws an Error for shapes that do not fit.
Sizes result_shape(const LayerOperation& operation, const std::vector<Sizes>& inputs);

// What they compute, of known shapes; `inputs` points to the data of x, the weights and the bias.
template <class T>
void run_operation(const LayerOperation& operation, std::uint32_t step,
                   const std::vector<Sizes>& shapes, const std::vector<const T*>& inputs, T* y,
                   bool* outside);

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_LAYER_OPERATION_H_
