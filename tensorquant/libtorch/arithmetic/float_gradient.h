#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_FLOAT_GRADIENT_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_FLOAT_GRADIENT_H_

#include <ATen/core/Tensor.h>

#include <functional>

namespace tensorquant {

// The float layer, of up to three tensors.
using FloatForward =
    std::function<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>;

// A result that was computed without a graph.
struct RoundedResult {
  at::Tensor y;
  at::Tensor outside;  // true where no gradient passes; undefined: nowhere
};

// The result with the gradients of function(a, b, c), if any are asked for. Tensors may be
// undefined.
at::Tensor with_gradient(const RoundedResult& result, const at::Tensor& a, const at::Tensor& b,
                         const at::Tensor& c, const FloatForward& function);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_FLOAT_GRADIENT_H_
