#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// Operators that move, select or repeat elements, and those that tell or use sizes.
namespace tensorquant::onnx_torch {
namespace {

// The sizes of a tensor from `start` on, or all of those below `end`.
Function shape(const NodeView& node) {
  const std::int64_t start = node.integer("start", 0);
  const std::int64_t end = node.integer("end", std::numeric_limits<std::int64_t>::max());
  return [=](const Tensors& in) {
    const auto place = [rank = in[0].dim()](std::int64_t axis) {
      return std::clamp<std::int64_t>(axis < 0 ? axis + rank : axis, 0, rank);
    };
    const Integers sizes = in[0].sizes().vec();
    const std::int64_t first = place(start), last = std::max(first, place(end));
    return Tensors{at::tensor(Integers(sizes.begin() + first, sizes.begin() + last), at::kLong)};
  };
}

Function size(const NodeView&) {
  return [](const Tensors& in) { return Tensors{at::scalar_tensor(in[0].numel(), at::kLong)}; };
}

Function constant_of_shape(const NodeView& node) {
  const onnx::Tensor* told = node.tensor("value");
  const at::Tensor value =
      told != nullptr ? tensor_of(*told).reshape({}) : at::scalar_tensor(0, at::kFloat);
  return [value, sizes = IntegerList(node, 0)](const Tensors& in) {
    return Tensors{value.expand(sizes.of(in)).clone()};
  };
}

Function expand(const NodeView& node) {
  return [sizes = IntegerList(node, 1)](const Tensors& in) {
    const Integers wanted = sizes.of(in);
    return Tensors{in[0].expand(at::infer_size(in[0].sizes(), wanted))};
  };
}

// 0 stands for the input's size there, unless allowzero is set; -1 for what is left.
Function reshape(const NodeView& node) {
  const bool zero_is_size = node.integer("allowzero", 0) != 0;
  return [=, sizes = IntegerList(node, 1)](const Tensors& in) {
    Integers wanted = sizes.of(in);
    for (std::size_t i = 0; i < wanted.size() && !zero_is_size; ++i) {
      if (wanted[i] == 0) wanted[i] = in[0].size(static_cast<std::int64_t>(i));
    }
    return Tensors{in[0].reshape(wanted)};
  };
}

Function transpose(const NodeView& node) {
  return [order = node.integers("perm")](const Tensors& in) {
    if (!order.empty() || in[0].dim() == 0) return Tensors{in[0].permute(order)};
    Integers reversed(static_cast<std::size_t>(in[0].dim()));
    for (std::size_t i = 0; i < reversed.size(); ++i) {
      reversed[i] = static_cast<std::int64_t>(reversed.size() - 1 - i);
    }
    return Tensors{in[0].permute(reversed)};
  };
}

Function flatten(const NodeView& node) {
  return [axis = node.integer("axis", 1)](const Tensors& in) {
    const at::Tensor& x = in[0];
    const std::int64_t at = axis == x.dim() ? axis : axis_of(axis, x.dim());
    std::int64_t rows = 1, columns = 1;
    for (std::int64_t i = 0; i < x.dim(); ++i) (i < at ? rows : columns) *= x.size(i);
    return Tensors{x.reshape({rows, columns})};
  };
}

// The axes are an attribute before operator set 13, then an input.
IntegerList axes_of(const NodeView& node, std::int64_t first_with_input = 13) {
  return node.version() < first_with_input ? IntegerList(node.integers("axes"))
                                           : IntegerList(node, 1);
}

Function squeeze(const NodeView& node) {
  return [axes = axes_of(node)](const Tensors& in) {
    Integers places = axes.of(in);
    if (places.empty()) return Tensors{in[0].squeeze()};
    for (std::int64_t& axis : places) axis = axis_of(axis, in[0].dim());
    std::sort(places.rbegin(), places.rend());
    at::Tensor x = in[0];
    for (const std::int64_t axis : places) {
      if (x.size(axis) != 1) throw Error("axis " + std::to_string(axis) + " is not of size 1");
      x = x.squeeze(axis);
    }
    return Tensors{x};
  };
}

Function unsqueeze(const NodeView& node) {
  return [axes = axes_of(node)](const Tensors& in) {
    Integers places = axes.of(in);
    const std::int64_t rank = in[0].dim() + static_cast<std::int64_t>(places.size());
    for (std::int64_t& axis : places) axis = axis_of(axis, rank);
    std::sort(places.begin(), places.end());
    at::Tensor x = in[0];
    for (const std::int64_t axis : places) x = x.unsqueeze(axis);
    return Tensors{x};
  };
}

Function concat(const NodeView& node) {
  return [axis = node.integer("axis", 0)](const Tensors& in) { return Tensors{at::cat(in, axis)}; };
}

// Python's slice of one axis.
at::Tensor slice_axis(const at::Tensor& x, std::int64_t axis, std::int64_t start, std::int64_t end,
                      std::int64_t step) {
  const std::int64_t size = x.size(axis);
  const auto place = [size](std::int64_t i, std::int64_t lowest, std::int64_t highest) {
    return std::clamp(i < 0 ? i + size : i, lowest, highest);
  };
  if (step > 0) {
    const std::int64_t first = place(start, 0, size);
    return x.slice(axis, first, std::max(first, place(end, 0, size)), step);
  }
  if (step == 0) throw Error("a step of 0");
  const std::int64_t first = place(start, 0, size - 1);
  const std::int64_t last = std::min(first, place(end, -1, size - 1));
  return x.index_select(axis, at::arange(first, last, step, at::kLong));
}

// Starts, ends and axes are attributes before operator set 10, then inputs.
Function slice(const NodeView& node) {
  const bool attributes = node.version() < 10;
  const auto list = [&](const char* name, std::size_t input) {
    return attributes ? IntegerList(node.integers(name)) : IntegerList(node, input);
  };
  const IntegerList starts = list("starts", 1), ends = list("ends", 2), axes = list("axes", 3);
  const IntegerList steps = attributes ? IntegerList(Integers()) : IntegerList(node, 4);
  return [=](const Tensors& in) {
    const Integers first = starts.of(in), last = ends.of(in), places = axes.of(in);
    const Integers by = steps.of(in);
    const auto fits = [&](const Integers& list) {
      return list.empty() || list.size() == first.size();
    };
    if (last.size() != first.size() || !fits(places) || !fits(by)) {
      throw Error("its starts, ends, axes and steps differ in number");
    }
    at::Tensor x = in[0];
    for (std::size_t i = 0; i < first.size(); ++i) {
      const std::int64_t axis = places.empty() ? static_cast<std::int64_t>(i) : places[i];
      x = slice_axis(x, axis_of(axis, x.dim()), first[i], last[i], by.empty() ? 1 : by[i]);
    }
    return Tensors{x};
  };
}

// Into the sizes given, or into equal parts of which the last may be smaller.
Function split(const NodeView& node) {
  const IntegerList sizes =
      node.version() < 13 ? IntegerList(node.integers("split")) : IntegerList(node, 1);
  const auto count = static_cast<std::int64_t>(node.output_count());
  return [=, axis = node.integer("axis", 0)](const Tensors& in) {
    const Integers given = sizes.of(in);
    if (!given.empty()) return in[0].split_with_sizes(given, axis);
    const std::int64_t all = in[0].size(axis);
    return in[0].split((all + count - 1) / count, axis);
  };
}

at::Tensor from_the_start(const at::Tensor& indices, std::int64_t size) {
  return at::where(indices < 0, indices + size, indices).to(at::kLong);
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

Function tile(const NodeView& node) {
  return [times = IntegerList(node, 1)](const Tensors& in) {
    return Tensors{in[0].repeat(times.of(in))};
  };
}

Function range(const NodeView&) {
  return [](const Tensors& in) {
    return Tensors{at::arange(in[0].item(), in[1].item(), in[2].item(), in[0].scalar_type())};
  };
}

Function depth_to_space(const NodeView& node) {
  const std::int64_t block = positive(node, "blocksize", 1);
  if (node.text("mode", "DCR") == "CRD") {
    return [block](const Tensors& in) { return Tensors{at::pixel_shuffle(in[0], block)}; };
  }
  return [block](const Tensors& in) {
    const at::Tensor& x = in[0];
    const std::int64_t channels = x.size(1) / (block * block);
    return Tensors{x.reshape({x.size(0), block, block, channels, x.size(2), x.size(3)})
                       .permute({0, 3, 4, 1, 5, 2})
                       .reshape({x.size(0), channels, x.size(2) * block, x.size(3) * block})};
  };
}

// Begins of all axes, then ends, for libtorch: from the last axis that has one on, in pairs.
Integers libtorch_margins(const Integers& pads, const Integers& axes, std::int64_t rank) {
  const std::size_t count = axes.empty() ? static_cast<std::size_t>(rank) : axes.size();
  if (pads.size() != 2 * count) {
    throw Error("pads: expected " + std::to_string(2 * count) + " integers, found " +
                std::to_string(pads.size()));
  }
  Integers margins(2 * static_cast<std::size_t>(rank));
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t axis =
        axes.empty() ? static_cast<std::int64_t>(i) : axis_of(axes.at(i), rank);
    const auto place = static_cast<std::size_t>(2 * (rank - 1 - axis));
    margins.at(place) = pads[i];
    margins.at(place + 1) = pads[i + count];
  }
  while (!margins.empty() && margins.back() == 0 && margins[margins.size() - 2] == 0) {
    margins.resize(margins.size() - 2);
  }
  return margins;
}

// Pads and value are attributes before operator set 11, then inputs.
Function pad(const NodeView& node) {
  const bool attributes = node.version() < 11;
  const IntegerList pads = attributes ? IntegerList(node.integers("pads")) : IntegerList(node, 1);
  const IntegerList axes = attributes ? IntegerList(Integers()) : IntegerList(node, 3);
  const std::string told = node.text("mode", "constant");
  if (told != "constant" && told != "reflect" && told != "edge") {
    throw Error("mode '" + told + "' is not supported");
  }
  const std::string mode = told == "edge" ? "replicate" : told;
  const double value = node.number("value", 0);
  return [=](const Tensors& in) {
    const Integers margins = libtorch_margins(pads.of(in), axes.of(in), in[0].dim());
    if (margins.empty()) return Tensors{in[0]};
    if (mode != "constant") return Tensors{at::pad(in[0], margins, mode)};
    const bool has_value = in.size() > 2 && in[2].defined();
    return Tensors{at::constant_pad_nd(in[0], margins, has_value ? in[2].item() : value)};
  };
}

}  // namespace

Operators movement_operators() {
  return {
      {"Shape", {shape, 1, 1}},
      {"Size", {size, 1, 1}},
      {"ConstantOfShape", {constant_of_shape, 1, 1}},
      {"Expand", {expand, 2, 2}},
      {"Reshape", {reshape, 2, 2}},
      {"Transpose", {transpose, 1, 1}},
      {"Flatten", {flatten, 1, 1}},
      {"Squeeze", {squeeze, 1, 2}},
      {"Unsqueeze", {unsqueeze, 1, 2}},
      {"Concat", {concat, 1, kAnyNumber}},
      {"Slice", {slice, 1, 5}},
      {"Split", {split, 1, 2}},
      {"Gather", {gather, 2, 2}},
      {"GatherElements", {gather_elements, 2, 2}},
      {"Tile", {tile, 2, 2}},
      {"Range", {range, 3, 3}},
      {"DepthToSpace", {depth_to_space, 1, 1}},
      {"Pad", {pad, 1, 4}},
  };
}

}  // namespace tensorquant::onnx_torch
