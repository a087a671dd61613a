#ifndef TENSORQUANT_LIBTORCH_TENSORS_TENSOR_OPS_H_
#define TENSORQUANT_LIBTORCH_TENSORS_TENSOR_OPS_H_

#include <ATen/core/Tensor.h>

#include <memory>

#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/quantizer_report.h"

namespace tensorquant {

// q(x) as a new tensor of x's type, shape and memory format. x is a float32 or float64 CPU tensor
// of any strides, an Error otherwise; elements are numbered in C order whatever the strides, so
// equal tensors give equal bits. Gradients flow as the quantizer says. Straight-through needs no
// node of its own in the graph: dx is dy, bit for bit.
at::Tensor quantize(const at::Tensor& x, const std::shared_ptr<const Quantizer>& quantizer,
                    const Context& context = {});

// The same for a quantizer that the caller keeps. A gradient that is not straight-through would
// have to outlive the reference: where one is needed this throws an Error.
at::Tensor quantize(const at::Tensor& x, const Quantizer& quantizer, const Context& context = {});

// x = q(x), for data: an Error where gradients are recorded and x requires one. Returns x.
at::Tensor quantize_(at::Tensor x, const Quantizer& quantizer, const Context& context = {});

// Of quantize(x, quantizer, context).
QuantizerReport report_of(const at::Tensor& x, const Quantizer& quantizer,
                          const Context& context = {});

// True where nobody but the caller's handle sees the memory of x: no other tensor, no view, no
// value saved for a backward pass, no memory lent by from_blob(). Only then may a layer overwrite
// it without a trace in the graph.
bool is_exclusive(const at::Tensor& x);

// As quantize(), for a tensor that the caller gives away: overwrites it where it is exclusive and
// that leaves the gradient as it is.
at::Tensor quantize_consuming(at::Tensor&& x, const std::shared_ptr<const Quantizer>& quantizer,
                              const Context& context = {});

// q(relu(x)), with the bits and gradients of the two after each other. Where it can be one pass
// over memory it is, and where x is exclusive and needs no gradient it is overwritten.
at::Tensor quantize_relu_consuming(at::Tensor&& x,
                                   const std::shared_ptr<const Quantizer>& quantizer,
                                   const Context& context = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_TENSORS_TENSOR_OPS_H_
