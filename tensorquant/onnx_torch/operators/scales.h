#ifndef TENSORQUANT_ONNX_TORCH_OPERATORS_SCALES_H_
#define TENSORQUANT_ONNX_TORCH_OPERATORS_SCALES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::onnx_torch {

// One number, or one for each place of an axis of x, as a tensor that broadcasts over x. Error,
// which calls them `what`, where they are of another count.
at::Tensor along_axis(const at::Tensor& numbers, const at::Tensor& x, std::int64_t axis,
                      const char* what);

// Which numbers of a tensor share a scale and a zero point: all, those at one place of an axis, or
// blocks along it.
class Granularity {
 public:
  // By the node's attributes, as far as its version has them.
  explicit Granularity(const NodeView& node);

  // Scales or zero points as a tensor that broadcasts over x. Error, which calls them `what`, where
  // they do not fit.
  at::Tensor over(const at::Tensor& values, const at::Tensor& x, const char* what) const;

  std::int64_t axis() const { return axis_; }

 private:
  std::int64_t axis_, block_;
  bool has_axes_;  // operator set 10 has one scale for all
};

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_OPERATORS_SCALES_H_
