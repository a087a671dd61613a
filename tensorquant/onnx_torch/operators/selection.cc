#include <ATen/ATen.h>

#include <optional>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Operators that select elements by indices or by their numbers, and those that write at indices.
namespace tensorquant::onnx_torch {
namespace {

// Indices may count from the end. Error where one lies outside: libtorch does not look everywhere.
at::Tensor checked_indices(const at::Tensor& told, std::int64_t size) {
  const at::Tensor indices = from_the_start(told, size);
  if (indices.numel() == 0) return indices;
  if (indices.min().item<std::int64_t>() < 0 || indices.max().item<std::int64_t>() >= size) {
    throw Error("an index lies outside of " + std::to_string(size) + " elements");
  }
  return indices;
}

Function gather(const NodeView& node) {
  return [told = node.integer("axis", 0)](const Tensors& in) {
    const at::Tensor &x = in[0], &indices = in[1];
    const std::int64_t axis = axis_of(told, x.dim());
    Integers sizes = x.sizes().slice(0, static_cast<std::size_t>(axis)).vec();
    sizes.insert(sizes.end(), indices.sizes().begin(), indices.sizes().end());
    sizes.insert(sizes.end(), x.sizes().begin() + axis + 1, x.sizes().end());
    const at::Tensor flat = from_the_start(indices, x.size(axis)).reshape({-1});
    return Tensors{x.index_select(axis, flat).reshape(sizes)};
  };
}

Function gather_elements(const NodeView& node) {
  return [told = node.integer("axis", 0)](const Tensors& in) {
    const std::int64_t axis = axis_of(told, in[0].dim());
    return Tensors{at::gather(in[0], axis, from_the_start(in[1], in[0].size(axis)))};
  };
}

// The last axis of the indices, as an index for each of x's axes from `first` on.
std::vector<at::Tensor> indices_of_axes(const at::Tensor& x, const at::Tensor& told,
                                        std::int64_t first) {
  if (told.dim() == 0) throw Error("expected indices of 1 dimension or more");
  const std::int64_t count = told.size(-1);
  if (count < 1 || first + count > x.dim()) {
    throw Error("indices of " + std::to_string(count) + " axes of " + std::to_string(x.dim()));
  }
  std::vector<at::Tensor> indices;
  for (std::int64_t i = 0; i < count; ++i) {
    indices.push_back(checked_indices(told.select(-1, i), x.size(first + i)));
  }
  return indices;
}

c10::List<c10::optional<at::Tensor>> as_list(const std::vector<at::Tensor>& indices) {
  c10::List<c10::optional<at::Tensor>> list;
  for (const at::Tensor& index : indices) list.push_back(index);
  return list;
}

Function gather_nd(const NodeView& node) {
  const std::int64_t batch = node.integer("batch_dims", 0);
  return [batch](const Tensors& in) {
    const at::Tensor &x = in[0], &told = in[1];
    if (batch < 0 || batch >= x.dim() || batch >= told.dim()) {
      throw Error("batch_dims " + std::to_string(batch) + " is out of range");
    }
    if (batch == 0) return Tensors{at::index(x, as_list(indices_of_axes(x, told, 0)))};
    // One axis for those of the batch, with an index of its own.
    const at::Tensor flat = x.flatten(0, batch - 1), at_flat = told.flatten(0, batch - 1);
    if (flat.size(0) != at_flat.size(0)) throw Error("data and indices differ in their batch");
    std::vector<at::Tensor> indices = indices_of_axes(flat, at_flat, 1);
    Integers steps(static_cast<std::size_t>(indices.front().dim()), 1);
    steps.front() = flat.size(0);
    indices.insert(indices.begin(), at::arange(flat.size(0), at::kLong).reshape(steps));
    const at::Tensor found = at::index(flat, as_list(indices));
    Integers sizes = x.sizes().slice(0, static_cast<std::size_t>(batch)).vec();
    sizes.insert(sizes.end(), found.sizes().begin() + 1, found.sizes().end());
    return Tensors{found.reshape(sizes)};
  };
}

// libtorch's name of what becomes of an element that is written to; nothing where it is replaced.
std::optional<std::string> reduction_of(const NodeView& node) {
  const std::string name = node.text("reduction", "none");
  if (name == "none") return std::nullopt;
  if (name == "add") return "sum";
  if (name == "mul") return "prod";
  if (name == "max") return "amax";
  if (name == "min") return "amin";
  throw Error("reduction '" + name + "' is not known");
}

at::Tensor scattered(const at::Tensor& x, std::int64_t axis, const at::Tensor& indices,
                     const at::Tensor& updates, const std::optional<std::string>& reduction) {
  if (!reduction) return x.scatter(axis, indices, updates);
  return x.scatter_reduce(axis, indices, updates, *reduction, /*include_self=*/true);
}

Function scatter_elements(const NodeView& node) {
  return [told = node.integer("axis", 0), reduction = reduction_of(node)](const Tensors& in) {
    const std::int64_t axis = axis_of(told, in[0].dim());
    return Tensors{
        scattered(in[0], axis, from_the_start(in[1], in[0].size(axis)), in[2], reduction)};
  };
}

Function scatter_nd(const NodeView& node) {
  return [reduction = reduction_of(node)](const Tensors& in) {
    const at::Tensor &x = in[0], &told = in[1];
    const std::vector<at::Tensor> indices = indices_of_axes(x, told, 0);
    if (!reduction) return Tensors{at::index_put(x, as_list(indices), in[2])};
    // The axes that the indices are of become one, and what lies behind them another.
    const auto count = static_cast<std::int64_t>(indices.size());
    std::int64_t rows = 1;
    at::Tensor place = at::zeros(indices.front().sizes(), at::kLong);
    for (std::int64_t i = 0; i < count; ++i) {
      place = place * x.size(i) + indices[static_cast<std::size_t>(i)];
      rows *= x.size(i);
    }
    const std::int64_t columns = rows == 0 ? 0 : x.numel() / rows;
    const at::Tensor at_rows = place.reshape({-1, 1}).expand({place.numel(), columns});
    const at::Tensor updates = in[2].reshape({place.numel(), columns});
    return Tensors{
        scattered(x.reshape({rows, columns}), 0, at_rows, updates, reduction).reshape(x.sizes())};
  };
}

// The k largest or smallest along an axis; of equal ones the first.
Function top_k(const NodeView& node) {
  const std::int64_t attribute = node.integer("k", 0);
  const bool by_input = node.version() >= 10, largest = node.integer("largest", 1) != 0;
  if (by_input && !node.has_input(1)) throw Error("its input 1 is left out");
  return [=, told = node.integer("axis", -1)](const Tensors& in) {
    const std::int64_t axis = axis_of(told, in[0].dim());
    const std::int64_t k = by_input ? integer_of(in[1]) : attribute;
    if (k < 0 || k > in[0].size(axis)) {
      throw Error(std::to_string(k) + " of " + std::to_string(in[0].size(axis)) + " elements");
    }
    const auto [values, indices] = at::sort(in[0], /*stable=*/true, axis, /*descending=*/largest);
    return Tensors{values.slice(axis, 0, k), indices.slice(axis, 0, k)};
  };
}

Function compress(const NodeView& node) {
  const bool flattens = !node.has("axis");
  return [flattens, told = node.integer("axis", 0)](const Tensors& in) {
    const at::Tensor x = flattens ? in[0].reshape({-1}) : in[0];
    const at::Tensor places = at::nonzero(in[1].reshape({-1})).reshape({-1});
    return Tensors{x.index_select(axis_of(told, x.dim()), places)};
  };
}

// A column for each element that is not 0.
Function non_zero(const NodeView&) {
  return [](const Tensors& in) { return Tensors{at::nonzero(in[0]).t()}; };
}

// Zeros below a diagonal, or above.
Function trilu(const NodeView& node) {
  const bool upper = node.integer("upper", 1) != 0;
  return [upper](const Tensors& in) {
    const std::int64_t diagonal = is_given(in, 1) ? integer_of(in[1]) : 0;
    return Tensors{upper ? at::triu(in[0], diagonal) : at::tril(in[0], diagonal)};
  };
}

// The different slices along an axis, or elements; where each stood first; which of them each is;
// and how often each is there.
Function unique(const NodeView& node) {
  const bool flattens = !node.has("axis"), sorted = node.integer("sorted", 1) != 0;
  return [=, told = node.integer("axis", 0)](const Tensors& in) {
    const at::Tensor x = flattens ? in[0].reshape({-1}) : in[0];
    const std::int64_t axis = axis_of(told, x.dim());
    auto [values, inverse, counts] = at::unique_dim(x, axis, /*sorted=*/true,
                                                    /*return_inverse=*/true, /*counts=*/true);
    const at::Tensor places = at::arange(x.size(axis), at::kLong);
    at::Tensor first = at::full(counts.numel(), x.size(axis), at::kLong)
                           .scatter_reduce(0, inverse, places, "amin", /*include_self=*/true);
    if (!sorted) {  // by where they stood first
      const at::Tensor order = first.argsort();
      values = values.index_select(axis, order);
      first = first.index_select(0, order);
      counts = counts.index_select(0, order);
      inverse = order.argsort().index_select(0, inverse);
    }
    return Tensors{values, first, inverse, counts};
  };
}

}  // namespace

Operators selection_operators() {
  return {
      {"Gather", {gather, 2, 2}},
      {"GatherElements", {gather_elements, 2, 2}},
      {"GatherND", {gather_nd, 2, 2}},
      {"Scatter", {scatter_elements, 3, 3}},
      {"ScatterElements", {scatter_elements, 3, 3}},
      {"ScatterND", {scatter_nd, 3, 3}},
      {"TopK", {top_k, 1, 2}},
      {"Compress", {compress, 2, 2}},
      {"NonZero", {non_zero, 1, 1}},
      {"Trilu", {trilu, 1, 2}},
      {"Unique", {unique, 1, 1}},
  };
}

}  // namespace tensorquant::onnx_torch
