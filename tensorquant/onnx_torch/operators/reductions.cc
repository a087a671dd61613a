#include <ATen/ATen.h>
#include <ATen/Dispatch.h>

#include <algorithm>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Operators that make one number of those along some axes, or of those up to each.
namespace tensorquant::onnx_torch {
namespace {

using Reduce = at::Tensor (*)(const at::Tensor&, at::IntArrayRef, bool);

at::Tensor sum(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return x.sum(axes, keep, x.scalar_type());
}

// In float64 of integers, which get back without the fraction.
template <Reduce reduce>
at::Tensor in_floats(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  if (x.is_floating_point()) return reduce(x, axes, keep);
  return reduce(x.to(at::kDouble), axes, keep).to(x.scalar_type());
}

at::Tensor mean(const at::Tensor& x, at::IntArrayRef axes, bool keep) { return x.mean(axes, keep); }
at::Tensor sum_of_sizes(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return sum(x.abs(), axes, keep);
}
at::Tensor sum_of_squares(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return sum(x * x, axes, keep);
}
at::Tensor length(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return (x * x).sum(axes, keep).sqrt();
}
at::Tensor log_of_sum(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return x.sum(axes, keep).log();
}
at::Tensor log_of_sum_of_exponentials(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return at::logsumexp(x, axes, keep);
}

// The sizes that are left.
Integers reduced_sizes(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  Integers sizes;
  for (std::int64_t i = 0; i < x.dim(); ++i) {
    const bool goes = std::find(axes.begin(), axes.end(), i) != axes.end();
    if (!goes || keep) sizes.push_back(goes ? 1 : x.size(i));
  }
  return sizes;
}

at::Tensor product(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  at::Tensor result = x;
  for (const std::int64_t axis : axes) {
    result = result.prod(axis, /*keepdim=*/true, x.scalar_type());
  }
  return result.reshape(reduced_sizes(x, axes, keep));
}

// The largest or smallest number of a type, or what stands for it.
at::Scalar limit_of(at::ScalarType type, bool lowest) {
  if (at::isFloatingType(type)) {
    const double infinity = std::numeric_limits<double>::infinity();
    return lowest ? -infinity : infinity;
  }
  if (type == at::kBool) return !lowest;
  return AT_DISPATCH_INTEGRAL_TYPES(type, "limit_of", [&] {
    using Limits = std::numeric_limits<scalar_t>;
    return at::Scalar(static_cast<std::int64_t>(lowest ? Limits::lowest() : Limits::max()));
  });
}

// Of nothing at all, the limit of the type: the lowest number for the largest.
template <Reduce reduce, bool lowest>
at::Tensor extreme(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  if (x.numel() != 0) return reduce(x, axes, keep);
  return at::full(reduced_sizes(x, axes, keep), limit_of(x.scalar_type(), lowest), x.options());
}
at::Tensor maximum_along(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return x.amax(axes, keep);
}
at::Tensor minimum_along(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return x.amin(axes, keep);
}

// The axes are an input from operator set `with_input` on; none: all, or none to reduce.
template <Reduce reduce, int with_input>
Function reduction(const NodeView& node) {
  const bool keep = node.integer("keepdims", 1) != 0;
  const bool none_is_none = node.integer("noop_with_empty_axes", 0) != 0;
  return [=, axes = axes_of(node, with_input)](const Tensors& in) {
    const Integers places = axes.of(in);
    if (places.empty() && none_is_none) {  // each number is reduced alone
      return Tensors{reduce(in[0].unsqueeze(-1), Integers{in[0].dim()}, false)};
    }
    const Integers along = all_axes_of(places, in[0].dim());
    return Tensors{along.empty() ? reduce(in[0].unsqueeze(0), Integers{0}, false)
                                 : reduce(in[0], along, keep)};
  };
}

// Where the largest number is: the first such place, or the last.
template <at::Tensor (*find)(const at::Tensor&, std::int64_t)>
Function place_of_extreme(const NodeView& node) {
  const std::int64_t axis = node.integer("axis", 0);
  const bool keep = node.integer("keepdims", 1) != 0;
  const bool last = node.integer("select_last_index", 0) != 0;
  return [=](const Tensors& in) {
    const std::int64_t along = axis_of(axis, in[0].dim());
    const at::Tensor found = find(last ? in[0].flip(along) : in[0], along);
    const at::Tensor place = last ? in[0].size(along) - 1 - found : found;
    return Tensors{keep ? place : place.squeeze(along)};
  };
}
at::Tensor place_of_largest(const at::Tensor& x, std::int64_t axis) {
  return x.argmax(axis, /*keepdim=*/true);
}
at::Tensor place_of_smallest(const at::Tensor& x, std::int64_t axis) {
  return x.argmin(axis, /*keepdim=*/true);
}

// Sums or products of all up to each element.
template <at::Tensor (*accumulate)(const at::Tensor&, std::int64_t), int neutral>
Function accumulation(const NodeView& node) {
  const bool exclusive = node.integer("exclusive", 0) != 0;
  const bool reverse = node.integer("reverse", 0) != 0;
  return [=](const Tensors& in) {
    const std::int64_t axis = axis_of(integer_of(in[1]), in[0].dim());
    at::Tensor x = reverse ? in[0].flip(axis) : in[0];
    if (exclusive && x.size(axis) > 0) {
      const at::Tensor first = at::full_like(x.narrow(axis, 0, 1), neutral);
      x = at::cat({first, x.narrow(axis, 0, x.size(axis) - 1)}, axis);
    }
    const at::Tensor y = accumulate(x, axis);
    return Tensors{reverse ? y.flip(axis) : y};
  };
}
at::Tensor sums_so_far(const at::Tensor& x, std::int64_t axis) {
  return x.cumsum(axis, x.scalar_type());
}
at::Tensor products_so_far(const at::Tensor& x, std::int64_t axis) {
  return x.cumprod(axis, x.scalar_type());
}

at::Reduction::Reduction loss_reduction(const NodeView& node) {
  const std::string name = node.text("reduction", "mean");
  if (name == "mean") return at::Reduction::Mean;
  if (name == "sum") return at::Reduction::Sum;
  if (name == "none") return at::Reduction::None;
  throw Error("reduction '" + name + "' is not known");
}

// Minus the numbers at the classes of the labels, along axis 1.
Function negative_log_likelihood_loss(const NodeView& node) {
  const at::Reduction::Reduction reduction = loss_reduction(node);
  const bool ignores = node.has("ignore_index");
  const std::int64_t ignored = node.integer("ignore_index", 0);
  return [=](const Tensors& in) {
    const at::Tensor labels = in[1].to(at::kLong);
    // libtorch always ignores one: where none is to be, one that does not occur.
    const std::int64_t left_out = ignores ? ignored : std::numeric_limits<std::int64_t>::min();
    const at::Tensor weight = optional_input(in, 2);
    return Tensors{at::nll_loss_nd(in[0], labels, weight, reduction, left_out)};
  };
}

Function softmax_cross_entropy_loss(const NodeView& node) {
  return [loss = negative_log_likelihood_loss(node)](const Tensors& in) {
    Tensors inner = in;
    inner[0] = at::log_softmax(in[0], 1);
    return Tensors{loss(inner).front(), inner[0]};
  };
}

}  // namespace

Operators reduction_operators() {
  return {
      {"ReduceMean", {reduction<in_floats<mean>, 18>, 1, 2}},
      {"ReduceSum", {reduction<sum, 13>, 1, 2}},
      {"ReduceMax", {reduction<extreme<maximum_along, true>, 18>, 1, 2}},
      {"ReduceMin", {reduction<extreme<minimum_along, false>, 18>, 1, 2}},
      {"ReduceProd", {reduction<product, 18>, 1, 2}},
      {"ReduceL1", {reduction<sum_of_sizes, 18>, 1, 2}},
      {"ReduceL2", {reduction<in_floats<length>, 18>, 1, 2}},
      {"ReduceLogSum", {reduction<in_floats<log_of_sum>, 18>, 1, 2}},
      {"ReduceLogSumExp", {reduction<in_floats<log_of_sum_of_exponentials>, 18>, 1, 2}},
      {"ReduceSumSquare", {reduction<sum_of_squares, 18>, 1, 2}},
      {"ArgMax", {place_of_extreme<place_of_largest>, 1, 1}},
      {"ArgMin", {place_of_extreme<place_of_smallest>, 1, 1}},
      {"CumSum", {accumulation<sums_so_far, 0>, 2, 2}},
      {"CumProd", {accumulation<products_so_far, 1>, 2, 2}},
      {"NegativeLogLikelihoodLoss", {negative_log_likelihood_loss, 2, 3}},
      {"SoftmaxCrossEntropyLoss", {softmax_cross_entropy_loss, 2, 3}},
  };
}

}  // namespace tensorquant::onnx_torch
