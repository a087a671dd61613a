#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Operators that make tensors of sizes, and of no other tensor's numbers.
namespace tensorquant::onnx_torch {
namespace {

Function constant_of_shape(const NodeView& node) {
  const onnx::Tensor* told = node.tensor("value");
  const at::Tensor value =
      told != nullptr ? tensor_of(*told).reshape({}) : at::scalar_tensor(0, at::kFloat);
  return [value, sizes = IntegerList(node, 0)](const Tensors& in) {
    const Integers wanted = sizes.of(in);
    check_size(wanted, value.scalar_type());
    return Tensors{value.expand(wanted).clone()};
  };
}

// Start, start + step and so on, below the limit.
Function range(const NodeView&) {
  return [](const Tensors& in) {
    const at::Tensor &start = in[0], &limit = in[1], &step = in[2];
    const double by = step.item<double>();
    if (by == 0) throw Error("a step of 0");
    const double count = std::ceil((limit.item<double>() - start.item<double>()) / by);
    if (!std::isfinite(count)) throw Error("a range without an end");
    const at::ScalarType type = start.scalar_type();
    const auto size = static_cast<std::int64_t>(std::clamp(count, 0.0, 1e18));
    check_size(size, type);
    if (size == 0) return Tensors{at::empty(0, type)};
    return Tensors{at::arange(start.item(), limit.item(), step.item(), type)};
  };
}

// Ones on a diagonal, of the input's sizes.
Function eye_like(const NodeView& node) {
  const bool has_type = node.has("dtype");
  const std::int64_t told = node.integer("dtype", 1), diagonal = node.integer("k", 0);
  const at::ScalarType type = scalar_type_of(static_cast<onnx::DataType>(told));
  return [=](const Tensors& in) {
    if (in[0].dim() != 2) throw Error("expected an input of 2 dimensions");
    const at::Tensor rows = at::arange(in[0].size(0), at::kLong).unsqueeze(1);
    const at::Tensor columns = at::arange(in[0].size(1), at::kLong).unsqueeze(0);
    return Tensors{(columns == rows + diagonal).to(has_type ? type : in[0].scalar_type())};
  };
}

// values[1] at each index along a new axis, values[0] elsewhere.
Function one_hot(const NodeView& node) {
  return [told = node.integer("axis", -1)](const Tensors& in) {
    const std::int64_t depth = integer_of(in[1]);
    if (in[2].numel() != 2) throw Error("expected two values");
    const std::int64_t axis = axis_of(told, in[0].dim() + 1);
    Integers sizes = in[0].sizes().vec();
    sizes.insert(sizes.begin() + axis, depth);
    check_size(sizes, in[2].scalar_type());
    const at::Tensor indices = from_the_start(in[0], depth).unsqueeze(axis);
    Integers steps(sizes.size(), 1);
    steps[static_cast<std::size_t>(axis)] = depth;
    const at::Tensor is_hot = indices == at::arange(depth, at::kLong).reshape(steps);
    return Tensors{at::where(is_hot, in[2][1], in[2][0])};
  };
}

Function affine_grid(const NodeView& node) {
  const bool align_corners = node.integer("align_corners", 0) != 0;
  return [align_corners, sizes = IntegerList(node, 1)](const Tensors& in) {
    const Integers wanted = sizes.of(in);
    check_size(wanted, in[0].scalar_type());
    return Tensors{at::affine_grid_generator(in[0], wanted, align_corners)};
  };
}

}  // namespace

Operators creation_operators() {
  return {
      {"ConstantOfShape", {constant_of_shape, 1, 1}},
      {"Range", {range, 3, 3}},
      {"EyeLike", {eye_like, 1, 1}},
      {"OneHot", {one_hot, 3, 3}},
      {"AffineGrid", {affine_grid, 2, 2}},
  };
}

}  // namespace tensorquant::onnx_torch
