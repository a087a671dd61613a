#include <ATen/ATen.h>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Operators that make one number of those along some axes.
namespace tensorquant::onnx_torch {
namespace {

using Reduce = at::Tensor (*)(const at::Tensor&, at::IntArrayRef, bool);

at::Tensor mean(const at::Tensor& x, at::IntArrayRef axes, bool keep) { return x.mean(axes, keep); }
at::Tensor sum(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return x.sum(axes, keep, x.scalar_type());
}
at::Tensor largest(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return x.amax(axes, keep);
}
at::Tensor smallest(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return x.amin(axes, keep);
}
at::Tensor length(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  if (x.is_floating_point()) return (x * x).sum(axes, keep).sqrt();
  const at::Tensor wide = x.to(at::kDouble);
  return (wide * wide).sum(axes, keep).sqrt().to(x.scalar_type());
}
at::Tensor product(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  at::Tensor result = x;
  for (const std::int64_t axis : axes)
    result = result.prod(axis, /*keepdim=*/true, x.scalar_type());
  if (keep) return result;
  Integers sizes;
  for (std::int64_t i = 0; i < x.dim(); ++i) {
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) sizes.push_back(x.size(i));
  }
  return result.reshape(sizes);
}

// The axes are an input from operator set `with_input` on; none: all, or none to reduce.
template <Reduce reduce, int with_input>
Function reduction(const NodeView& node) {
  const IntegerList axes =
      node.version() < with_input ? IntegerList(node.integers("axes")) : IntegerList(node, 1);
  const bool keep = node.integer("keepdims", 1) != 0;
  const bool none_is_none = node.integer("noop_with_empty_axes", 0) != 0;
  return [=](const Tensors& in) {
    Integers places = axes.of(in);
    if (places.empty() && none_is_none) {  // each number is reduced alone
      return Tensors{reduce == &length ? in[0].abs() : in[0]};
    }
    if (places.empty()) {
      for (std::int64_t i = 0; i < in[0].dim(); ++i) places.push_back(i);
    }
    for (std::int64_t& axis : places) axis = axis_of(axis, in[0].dim());
    return Tensors{reduce(in[0], places, keep)};
  };
}

// Over one axis; before operator set 13 over all from that axis on.
template <at::Tensor (*softmax)(const at::Tensor&, std::int64_t, c10::optional<at::ScalarType>)>
Function soft_maximum(const NodeView& node) {
  const bool flattens = node.version() < 13;
  const std::int64_t axis = node.integer("axis", flattens ? 1 : -1);
  return [=](const Tensors& in) {
    const at::Tensor& x = in[0];
    if (!flattens) return Tensors{softmax(x, axis, c10::nullopt)};
    const std::int64_t first = axis_of(axis, x.dim());
    return Tensors{softmax(x.flatten(first), first, c10::nullopt).reshape(x.sizes())};
  };
}

}  // namespace

Operators reduction_operators() {
  return {
      {"ReduceMean", {reduction<mean, 18>, 1, 2}},
      {"ReduceSum", {reduction<sum, 13>, 1, 2}},
      {"ReduceMax", {reduction<largest, 18>, 1, 2}},
      {"ReduceMin", {reduction<smallest, 18>, 1, 2}},
      {"ReduceProd", {reduction<product, 18>, 1, 2}},
      {"ReduceL2", {reduction<length, 18>, 1, 2}},
      {"Softmax", {soft_maximum<at::softmax>, 1, 1}},
      {"LogSoftmax", {soft_maximum<at::log_softmax>, 1, 1}},
  };
}

}  // namespace tensorquant::onnx_torch
