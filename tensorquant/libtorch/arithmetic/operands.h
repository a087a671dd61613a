#ifndef TENSORQUANT_LIBTORCH_ARITHMETIC_OPERANDS_H_
#define TENSORQUANT_LIBTORCH_ARITHMETIC_OPERANDS_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/operation.h"
#include "tensorquant/libtorch/arithmetic/float_gradient.h"
#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"

namespace tensorquant::detail {

// Between tensors and the core's arithmetic.

using Sizes = std::vector<std::int64_t>;

// The tensor as the core takes it: of the input's type, in C order, without a graph.
at::Tensor plain(const at::Tensor& tensor, const at::Tensor& input);
at::Tensor plain_input(const at::Tensor& x);

// True values for the outputs whose last sum is outside, where that is asked for.
at::Tensor mask_for(const LayerArithmetic& layer, at::IntArrayRef shape);
bool* data_of(const at::Tensor& mask);

// Ranges are those of float32 tensors.
RangeReport* report_for(const LayerArithmetic& layer, const at::Tensor& x);

// run(zero of the type of x).
template <class Run>
void with_type(const at::Tensor& x, const Run& run) {
  if (x.scalar_type() == at::kFloat) {
    run(0.0f);
  } else {
    run(0.0);
  }
}

template <class T>
const T* pointer(const at::Tensor& x) {
  return x.defined() ? x.data_ptr<T>() : nullptr;
}

template <class T>
std::span<const T> span_of(const at::Tensor& x) {
  if (!x.defined()) return {};
  return {x.data_ptr<T>(), static_cast<std::size_t>(x.numel())};
}

// The operation on layers' tensors, of which the last ones may be undefined, without gradients. Of
// data and weights with scales it sees the elements.
RoundedResult run_on(const LayerArithmetic& layer, const Operation& operation,
                     std::initializer_list<at::Tensor> tensors, RangeReport* report);
// One that works on values: of two accumulators it knows the outer one alone, and it has no
// products with weights.
RoundedResult run_on_values(const LayerArithmetic& layer, const Operation& operation,
                            std::initializer_list<at::Tensor> tensors);

std::int64_t product_of(at::IntArrayRef sizes);
std::string shape_of(const at::Tensor& x);  // "(2 x 3)"
// Throws an Error unless it is good.
void require(bool good, const std::string& reason);

}  // namespace tensorquant::detail

#endif  // TENSORQUANT_LIBTORCH_ARITHMETIC_OPERANDS_H_
