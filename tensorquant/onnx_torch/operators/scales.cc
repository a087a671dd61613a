#include "tensorquant/onnx_torch/operators/scales.h"

#include <ATen/ATen.h>

#include <string>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx_torch {
namespace {

[[noreturn]] void refuse(const char* what, const std::string& reason) {
  throw Error(std::string(what) + ": " + reason);
}

std::string shape_of(const at::Tensor& x) {
  return onnx::to_string({x.sizes().data(), x.sizes().size()});
}

}  // namespace

at::Tensor along_axis(const at::Tensor& numbers, const at::Tensor& x, std::int64_t axis,
                      const char* what) {
  if (numbers.numel() == 1) return numbers.reshape({});
  const std::int64_t place = axis_of(axis, x.dim());
  if (numbers.dim() != 1 || numbers.numel() != x.size(place)) {
    refuse(what, "expected one number, or one for each place of axis " + std::to_string(place) +
                     ", found " + shape_of(numbers) + " for " + shape_of(x));
  }
  Integers sizes(static_cast<std::size_t>(x.dim()), 1);
  sizes[static_cast<std::size_t>(place)] = numbers.numel();
  return numbers.reshape(sizes);
}

Granularity::Granularity(const NodeView& node)
    : axis_(node.integer("axis", 1)),
      block_(node.version() >= 21 ? node.integer("block_size", 0) : 0),
      has_axes_(node.version() >= 13) {
  if (block_ < 0) {
    throw Error("attribute 'block_size': expected 0 or more, found " + std::to_string(block_));
  }
}

at::Tensor Granularity::over(const at::Tensor& values, const at::Tensor& x,
                             const char* what) const {
  if (!values.defined()) return values;
  if (block_ == 0) {
    if (!has_axes_ && values.numel() != 1) {
      refuse(what, "expected one number, found " + shape_of(values));
    }
    return along_axis(values, x, axis_, what);
  }
  const std::int64_t axis = axis_of(axis_, x.dim());
  Integers sizes = x.sizes().vec();
  std::int64_t& length = sizes[static_cast<std::size_t>(axis)];
  length = length == 0 ? 0 : (length - 1) / block_ + 1;
  if (values.sizes() != at::IntArrayRef(sizes)) {
    refuse(what, "expected one number for each " + std::to_string(block_) + " along axis " +
                     std::to_string(axis) + ", found " + shape_of(values) + " for " + shape_of(x));
  }
  return at::repeat_interleave(values, block_, axis).slice(axis, 0, x.size(axis));
}

}  // namespace tensorquant::onnx_torch
