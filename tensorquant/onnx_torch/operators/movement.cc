#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>

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

Function expand(const NodeView& node) {
  return [sizes = IntegerList(node, 1)](const Tensors& in) {
    const auto wanted = at::infer_size(in[0].sizes(), sizes.of(in));
    check_size(wanted, in[0].scalar_type());
    return Tensors{in[0].expand(wanted)};
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

Function squeeze(const NodeView& node) {
  return [axes = axes_of(node, 13)](const Tensors& in) {
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
  return [axes = axes_of(node, 13)](const Tensors& in) {
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

Function tile(const NodeView& node) {
  return [times = IntegerList(node, 1)](const Tensors& in) {
    const Integers by = times.of(in);
    Integers sizes = in[0].sizes().vec();
    for (std::size_t i = 0; i < sizes.size() && i < by.size(); ++i) {
      if (by[i] < 0) throw Error("expected repeats of 0 or more");
      sizes[i] = static_cast<std::int64_t>(
          std::min(static_cast<double>(sizes[i]) * static_cast<double>(by[i]), 1e18));
    }
    check_size(sizes, in[0].scalar_type());
    return Tensors{in[0].repeat(by)};
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

// Blocks of an image into channels; depth_to_space() of the same mode takes that back.
Function space_to_depth(const NodeView& node) {
  const std::int64_t block = positive(node, "blocksize", 1);
  const Integers order =
      node.text("mode", "DCR") == "CRD" ? Integers{0, 1, 3, 5, 2, 4} : Integers{0, 3, 5, 1, 2, 4};
  return [=](const Tensors& in) {
    const at::Tensor& x = in[0];
    if (x.dim() != 4) throw Error("expected an input of 4 dimensions");
    const std::int64_t rows = x.size(2) / block, columns = x.size(3) / block;
    return Tensors{x.reshape({x.size(0), x.size(1), rows, block, columns, block})
                       .permute(order)
                       .reshape({x.size(0), x.size(1) * block * block, rows, columns})};
  };
}

// What stands before and behind each axis of a tensor. Negative: so many are cut off.
struct Margins {
  Integers before, behind;
};

Margins margins_of(const Integers& pads, const Integers& axes, std::int64_t rank) {
  const Integers places = all_axes_of(axes, rank);
  const std::size_t count = places.size();
  if (pads.size() != 2 * count) {
    throw Error("pads: expected " + std::to_string(2 * count) + " integers, found " +
                std::to_string(pads.size()));
  }
  const auto all = static_cast<std::size_t>(rank);
  Margins margins = {Integers(all, 0), Integers(all, 0)};
  for (std::size_t i = 0; i < count; ++i) {
    const auto axis = static_cast<std::size_t>(places[i]);
    margins.before[axis] = pads[i];
    margins.behind[axis] = pads[count + i];
  }
  return margins;
}

at::Tensor filled_around(const at::Tensor& x, const Margins& margins, const at::Scalar& value) {
  Integers pairs, sizes;  // libtorch's: from the last axis on
  for (std::size_t i = margins.before.size(); i-- > 0;) {
    pairs.insert(pairs.end(), {margins.before[i], margins.behind[i]});
    // In floating point, for the sum of two integers of a file may overflow.
    const double size = static_cast<double>(x.size(static_cast<std::int64_t>(i))) +
                        static_cast<double>(margins.before[i]) +
                        static_cast<double>(margins.behind[i]);
    sizes.push_back(static_cast<std::int64_t>(std::clamp(size, -1.0, 1e18)));
  }
  check_size(sizes, x.scalar_type());
  return at::constant_pad_nd(x, pairs, value);
}

using Place = at::Tensor (*)(const at::Tensor& at, std::int64_t size);

// Which of an axis' elements stands at a place, which may lie outside.
at::Tensor nearest_place(const at::Tensor& at, std::int64_t size) {
  return at::clamp(at, 0, size - 1);
}
at::Tensor mirrored_place(const at::Tensor& at, std::int64_t size) {
  const std::int64_t period = std::max<std::int64_t>(2 * (size - 1), 1);
  const at::Tensor in_period = at::remainder(at, period);
  return at::minimum(in_period, period - in_period).clamp(0, size - 1);
}
at::Tensor wrapped_place(const at::Tensor& at, std::int64_t size) {
  return at::remainder(at, size);
}

at::Tensor continued_around(at::Tensor x, const Margins& margins, Place place) {
  for (std::int64_t axis = 0; axis < x.dim(); ++axis) {
    const std::int64_t before = margins.before[static_cast<std::size_t>(axis)];
    const std::int64_t behind = margins.behind[static_cast<std::size_t>(axis)];
    if (before == 0 && behind == 0) continue;
    const std::int64_t size = x.size(axis);
    if (size == 0) throw Error("there is nothing to continue along axis " + std::to_string(axis));
    constexpr std::int64_t kFar = std::int64_t{1} << 60;
    if (std::max(std::abs(before), std::abs(behind)) > kFar) throw Error("pads: out of range");
    Integers sizes = x.sizes().vec();
    sizes[static_cast<std::size_t>(axis)] = size + before + behind;
    check_size(sizes, x.scalar_type());
    x = x.index_select(axis, place(at::arange(-before, size + behind, at::kLong), size));
  }
  return x;
}

// Pads and value are attributes before operator set 11, then inputs.
Function pad(const NodeView& node) {
  const bool attributes = node.version() < 11;
  const IntegerList pads = attributes ? IntegerList(node.integers("pads")) : IntegerList(node, 1);
  const IntegerList axes = attributes ? IntegerList(Integers()) : IntegerList(node, 3);
  const std::string mode = node.text("mode", "constant");
  const std::map<std::string, Place> places = {{"constant", nullptr},
                                               {"edge", nearest_place},
                                               {"reflect", mirrored_place},
                                               {"wrap", wrapped_place}};
  const auto place = places.find(mode);
  if (place == places.end()) throw Error("mode '" + mode + "' is not known");
  return [=, place = place->second, value = node.number("value", 0)](const Tensors& in) {
    const Margins margins = margins_of(pads.of(in), axes.of(in), in[0].dim());
    if (place != nullptr) return Tensors{continued_around(in[0], margins, place)};
    return Tensors{filled_around(in[0], margins, is_given(in, 2) ? in[2].item() : value)};
  };
}

// Cut or filled with zeros on both sides; of an odd number one more behind.
Function center_crop_pad(const NodeView& node) {
  const Integers axes = node.integers("axes");
  return [axes, sizes = IntegerList(node, 1)](const Tensors& in) {
    const Integers places = all_axes_of(axes, in[0].dim()), wanted = sizes.of(in);
    if (wanted.size() != places.size()) throw Error("its shape and axes differ in number");
    Integers before, behind;
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (wanted[i] < 0) throw Error("a size below 0");
      const std::int64_t more = wanted[i] - in[0].size(places[i]);
      before.push_back(more / 2);
      behind.push_back(more - more / 2);
    }
    before.insert(before.end(), behind.begin(), behind.end());
    return Tensors{filled_around(in[0], margins_of(before, places, in[0].dim()), 0)};
  };
}

// The elements of each sequence up to its length, the other way round.
Function reverse_sequence(const NodeView& node) {
  const std::int64_t batch_axis = node.integer("batch_axis", 1);
  const std::int64_t time_axis = node.integer("time_axis", 0);
  if (std::min(batch_axis, time_axis) != 0 || std::max(batch_axis, time_axis) != 1) {
    throw Error("expected 0 and 1 as its batch_axis and time_axis");
  }
  return [=](const Tensors& in) {
    const at::Tensor x = time_axis == 0 ? in[0] : in[0].transpose(0, 1);  // time, batch, ...
    const at::Tensor time = at::arange(x.size(0), at::kLong).unsqueeze(1);
    const at::Tensor lengths = in[1].to(at::kLong).unsqueeze(0);
    const at::Tensor place = at::where(time < lengths, lengths - 1 - time, time);
    const at::Tensor batch = at::arange(x.size(1), at::kLong).unsqueeze(0);
    const at::Tensor y = at::index(x, {place, batch});
    return Tensors{time_axis == 0 ? y : y.transpose(0, 1)};
  };
}

}  // namespace

Operators movement_operators() {
  return {
      {"Shape", {shape, 1, 1}},
      {"Size", {size, 1, 1}},
      {"Expand", {expand, 2, 2}},
      {"Reshape", {reshape, 2, 2}},
      {"Transpose", {transpose, 1, 1}},
      {"Flatten", {flatten, 1, 1}},
      {"Squeeze", {squeeze, 1, 2}},
      {"Unsqueeze", {unsqueeze, 1, 2}},
      {"Concat", {concat, 1, kAnyNumber}},
      {"Slice", {slice, 1, 5}},
      {"Split", {split, 1, 2}},
      {"Tile", {tile, 2, 2}},
      {"DepthToSpace", {depth_to_space, 1, 1}},
      {"SpaceToDepth", {space_to_depth, 1, 1}},
      {"Pad", {pad, 1, 4}},
      {"CenterCropPad", {center_crop_pad, 2, 2}},
      {"ReverseSequence", {reverse_sequence, 2, 2}},
  };
}

}  // namespace tensorquant::onnx_torch
