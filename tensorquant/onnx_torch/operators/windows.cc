#include "tensorquant/onnx_torch/operators/windows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

namespace tensorquant::onnx_torch {

bool Windows::is_dilated() const {
  return std::any_of(dilation.begin(), dilation.end(), [](auto d) { return d != 1; });
}

bool Windows::fits_a_pool() const {
  if (!is_symmetric()) return false;
  for (std::size_t d = 0; d < dimensions(); ++d) {
    if (begin[d] < 0 || begin[d] > kernel[d] / 2) return false;
  }
  return true;
}

void Windows::check_rank(const at::Tensor& x) const {
  if (x.dim() == static_cast<std::int64_t>(dimensions()) + 2) return;
  throw Error("expected an input of " + std::to_string(dimensions() + 2) + " dimensions, found " +
              std::to_string(x.dim()));
}

Integers Windows::margins(const at::Tensor& x) const {
  check_rank(x);
  Integers result;
  for (std::size_t d = dimensions(); d-- > 0;) {
    if (auto_pad == AutoPad::none) {
      result.insert(result.end(), {begin[d], end[d]});
      continue;
    }
    const std::int64_t size = x.size(static_cast<std::int64_t>(d) + 2);
    const std::int64_t outputs = (size + stride[d] - 1) / stride[d];
    const std::int64_t needed = (outputs - 1) * stride[d] + reach(d);
    const std::int64_t all = std::max<std::int64_t>(0, needed - size);
    const std::int64_t more = all - all / 2, less = all / 2;
    const bool upper = auto_pad == AutoPad::same_upper;
    result.insert(result.end(), {upper ? less : more, upper ? more : less});
  }
  return result;
}

Integers Windows::counts(const at::Tensor& x, const Integers& margins, bool ceil_mode) const {
  Integers result;
  for (std::size_t d = 0; d < dimensions(); ++d) {
    const std::int64_t size = x.size(static_cast<std::int64_t>(d) + 2);
    const std::int64_t before = margins[2 * (dimensions() - 1 - d)];
    const std::int64_t behind = margins[2 * (dimensions() - 1 - d) + 1];
    const std::int64_t room = size + before + behind - reach(d);
    if (room < 0) throw Error("the window is larger than the padded input");
    std::int64_t fits = (room + (ceil_mode ? stride[d] - 1 : 0)) / stride[d] + 1;
    if (ceil_mode && (fits - 1) * stride[d] >= size + before) --fits;
    result.push_back(fits);
  }
  return result;
}

void Windows::check_convolution(const at::Tensor& x, std::int64_t channels) const {
  const Integers space = counts(x, margins(x), /*ceil_mode=*/false);
  Integers sizes = {x.size(0), channels};
  sizes.insert(sizes.end(), space.begin(), space.end());
  check_size(sizes, x.scalar_type());
}

void Windows::check_transposed(const at::Tensor& x, std::int64_t channels) const {
  check_rank(x);
  Integers sizes = {x.size(0), channels};
  for (std::size_t d = 0; d < dimensions(); ++d) {
    const std::int64_t size = x.size(static_cast<std::int64_t>(d) + 2);
    sizes.push_back(std::max<std::int64_t>(0, size - 1) * stride[d] + reach(d));
  }
  check_size(sizes, x.scalar_type());
}

WindowAttributes::WindowAttributes(const NodeView& node)
    : strides(node.integers("strides")),
      dilations(node.integers("dilations")),
      pads(node.integers("pads")),
      auto_pad(node.text("auto_pad", "NOTSET")) {}

namespace {

// Products of two sizes of windows, and of one with a size of an input, are far from overflow.
constexpr std::int64_t kMostOfAWindow = std::int64_t{1} << 28;

void check_range(const char* attribute, const Integers& values, std::int64_t least) {
  for (const std::int64_t value : values) {
    const bool is_small = value < least;
    if (!is_small && value <= kMostOfAWindow) continue;
    throw Error("attribute '" + std::string(attribute) + "': expected " +
                (is_small ? std::to_string(least) + " or more"
                          : "at most " + std::to_string(kMostOfAWindow)) +
                ", found " + std::to_string(value));
  }
}

}  // namespace

Windows WindowAttributes::with(Integers kernel) const {
  Windows windows;
  const std::size_t count = kernel.size();
  const auto list = [](const char* name, const Integers& told, std::size_t size,
                       std::int64_t otherwise) {
    if (told.empty()) return Integers(size, otherwise);
    if (told.size() == size) return told;
    throw Error("attribute '" + std::string(name) + "': expected " + std::to_string(size) +
                " integers, found " + std::to_string(told.size()));
  };
  if (count < 1 || count > 3) {
    throw Error("windows of " + std::to_string(count) + " dimensions are not supported");
  }
  windows.kernel = std::move(kernel);
  windows.stride = list("strides", strides, count, 1);
  windows.dilation = list("dilations", dilations, count, 1);
  check_range("kernel_shape", windows.kernel, 1);
  check_range("strides", windows.stride, 1);
  check_range("dilations", windows.dilation, 1);
  const Integers all = list("pads", pads, 2 * count, 0);
  check_range("pads", all, -kMostOfAWindow);
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(count);
  windows.begin.assign(all.begin(), middle);
  windows.end.assign(middle, all.end());
  if (auto_pad == "VALID") {
    windows.begin.assign(count, 0);
    windows.end.assign(count, 0);
  } else if (auto_pad == "SAME_UPPER") {
    windows.auto_pad = Windows::AutoPad::same_upper;
  } else if (auto_pad == "SAME_LOWER") {
    windows.auto_pad = Windows::AutoPad::same_lower;
  } else if (auto_pad != "NOTSET" && !auto_pad.empty()) {
    throw Error("auto_pad '" + auto_pad + "' is not known");
  }
  return windows;
}

Integers output_padding_of(const NodeView& node) {
  Integers padding = node.integers("output_padding");
  check_range("output_padding", padding, 0);
  return padding;
}

Windows windows_of(const NodeView& node, Integers kernel) {
  return WindowAttributes(node).with(std::move(kernel));
}

Integers space_of(const at::Tensor& x) {
  if (x.dim() < 3) throw Error("expected an input of 3 dimensions or more");
  Integers axes;
  for (std::int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

bool Windows::is_whole(const at::Tensor& x) const {
  const auto is_zero = [](std::int64_t margin) { return margin == 0; };
  return auto_pad == AutoPad::none && std::all_of(begin.begin(), begin.end(), is_zero) &&
         std::all_of(end.begin(), end.end(), is_zero) && x.dim() > 2 &&
         x.sizes().slice(2) == at::IntArrayRef(kernel);
}

std::int64_t groups_of(const NodeView& node, std::size_t weight_place) {
  const std::int64_t groups = positive(node, "group", 1);
  const at::Tensor weight = node.constant(weight_place);
  const bool fits =
      !weight.defined() || groups == 1 || (weight.size(0) > 0 && weight.size(0) % groups == 0);
  if (!fits) {
    throw Error("attribute 'group': a weight of size " + std::to_string(weight.size(0)) +
                " along axis 0 has no " + std::to_string(groups) + " equal groups");
  }
  return groups;
}

at::Tensor padded(const at::Tensor& x, const Integers& margins, double value) {
  if (std::all_of(margins.begin(), margins.end(), [](auto m) { return m == 0; })) return x;
  Integers sizes = x.sizes().vec();
  for (std::size_t i = 0; i < margins.size(); ++i) {
    std::int64_t& size = sizes[sizes.size() - 1 - i / 2];
    if (std::abs(margins[i]) > std::int64_t{1} << 40) throw Error("pads: out of range");
    size += margins[i];
  }
  check_size(sizes, x.scalar_type());
  return at::constant_pad_nd(x, margins, value);
}

namespace {

// Of a convolution: of its weight, where that is known before the model runs.
class ConvWindows {
 public:
  explicit ConvWindows(const NodeView& node, std::size_t place = 1) : attributes_(node) {
    const at::Tensor weight = node.constant(place);
    if (weight.defined()) known_ = attributes_.with(kernel_of(weight));
  }

  Windows of(const at::Tensor& weight) const {
    return known_ ? *known_ : attributes_.with(kernel_of(weight));
  }

 private:
  static Integers kernel_of(const at::Tensor& weight) {
    if (weight.dim() < 3) throw Error("expected a weight of 3 dimensions or more");
    return weight.sizes().slice(2).vec();
  }

  WindowAttributes attributes_;
  std::optional<Windows> known_;
};

Function conv(const NodeView& node) {
  return [run = convolution_of(node)](const Tensors& in) {
    return Tensors{run(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor())};
  };
}

// What is taken from both sides of the whole output of a transposed convolution: its padding, or
// what is more than an output of the wanted sizes has. Numbers for constant_pad_nd().
Integers surplus(const Windows& windows, const at::Tensor& whole, const Integers& wanted) {
  Integers margins;
  for (std::size_t d = windows.dimensions(); d-- > 0;) {
    std::int64_t begin = windows.begin[d], end = windows.end[d];
    if (!wanted.empty()) {
      const std::int64_t all = whole.size(static_cast<std::int64_t>(d) + 2) - wanted[d];
      const bool upper = windows.auto_pad == Windows::AutoPad::same_upper;
      // What is missing is missing behind.
      begin = std::max<std::int64_t>(0, upper ? all / 2 : all - all / 2);
      end = all - begin;
    }
    margins.insert(margins.end(), {-begin, -end});
  }
  return margins;
}

Function conv_transpose(const NodeView& node) {
  const Integers told_sizes = node.integers("output_shape");
  const Integers told_extra = output_padding_of(node);
  check_size(told_sizes, at::kByte);
  return [=, conv_windows = ConvWindows(node), groups = groups_of(node)](const Tensors& in) {
    const Windows windows = conv_windows.of(in[1]);
    const std::size_t count = windows.dimensions();
    const Integers none(count, 0), extra = told_extra.empty() ? none : told_extra;
    const at::Tensor bias = optional_input(in, 2);
    windows.check_transposed(in[0], in[1].size(1) * groups);
    const auto product = [&](const at::Tensor& addend, const Integers& padding) {
      return at::convolution(in[0], in[1], addend, windows.stride, padding, windows.dilation,
                             /*transposed=*/true, extra, groups);
    };
    const bool is_plain = windows.is_symmetric() && told_sizes.empty() &&
                          *std::min_element(windows.begin.begin(), windows.begin.end()) >= 0;
    if (is_plain) return Tensors{product(bias, windows.begin)};
    const at::Tensor whole = product({}, none);
    // Those of a file may have batch and channels before them.
    Integers wanted = told_sizes;
    if (wanted.size() > count)
      wanted.erase(wanted.begin(), wanted.end() - static_cast<std::ptrdiff_t>(count));
    if (wanted.empty() && windows.auto_pad != Windows::AutoPad::none) {
      for (std::size_t d = 0; d < count; ++d) {
        wanted.push_back(in[0].size(static_cast<std::int64_t>(d) + 2) * windows.stride[d]);
      }
    }
    if (!wanted.empty() && wanted.size() != count) {
      throw Error("attribute 'output_shape': expected " + std::to_string(count) + " sizes");
    }
    const at::Tensor y = padded(whole, surplus(windows, whole, wanted), 0);
    if (!bias.defined()) return Tensors{y};
    Integers along(count + 2, 1);
    along[1] = bias.numel();
    return Tensors{y + bias.reshape(along)};
  };
}

// The sum of blocks, which are an image's columns, where they lie in the image: a transposed
// convolution with a weight of ones, each for its element of a block.
Function columns_to_image(const NodeView& node) {
  const WindowAttributes attributes(node);
  return [attributes, image = IntegerList(node, 1),
          block = IntegerList(node, 2)](const Tensors& in) {
    const Windows windows = attributes.with(block.of(in));
    const Integers sizes = image.of(in);
    const std::size_t count = windows.dimensions();
    if (sizes.size() != count) throw Error("image and block differ in their dimensions");
    check_size(sizes, at::kByte);
    check_size(windows.kernel, at::kByte);
    Integers places, weight = {1, 1}, crop, padded_sizes;
    std::int64_t elements = 1;
    for (std::size_t d = 0; d < count; ++d) {
      padded_sizes.push_back(sizes[d] + windows.begin[d] + windows.end[d]);
      if (padded_sizes[d] < windows.reach(d)) {
        throw Error("the window is larger than the padded image");
      }
      places.push_back((padded_sizes[d] - windows.reach(d)) / windows.stride[d] + 1);
      elements *= windows.kernel[d];
      weight.push_back(windows.kernel[d]);
    }
    weight[0] = elements;
    check_size({elements, elements}, in[0].scalar_type());
    if (in[0].dim() != 3 || in[0].size(1) % elements != 0)
      throw Error("expected blocks of the size told");
    const std::int64_t batch = in[0].size(0), channels = in[0].size(1) / elements;
    Integers blocks = {batch * channels, elements};
    blocks.insert(blocks.end(), places.begin(), places.end());
    check_size(padded_sizes, in[0].scalar_type());
    const Integers none(count, 0);
    at::Tensor y =
        at::convolution(in[0].reshape(blocks), at::eye(elements, in[0].options()).reshape(weight),
                        {}, windows.stride, none, windows.dilation, /*transposed=*/true, none, 1);
    for (std::size_t d = count; d-- > 0;) {
      // Behind the last block there may be room for none.
      const std::int64_t rest = padded_sizes[d] - y.size(static_cast<std::int64_t>(d) + 2);
      crop.insert(crop.end(), {-windows.begin[d], rest - windows.end[d]});
    }
    Integers result = {batch, channels};
    result.insert(result.end(), sizes.begin(), sizes.end());
    return Tensors{padded(y, crop, 0).reshape(result)};
  };
}

}  // namespace

Convolve convolution_of(const NodeView& node, std::size_t weight) {
  return [conv_windows = ConvWindows(node, weight), groups = groups_of(node, weight)](
             const at::Tensor& input, const at::Tensor& w, const at::Tensor& bias) {
    const Windows windows = conv_windows.of(w);
    const bool symmetric = windows.is_symmetric();
    windows.check_convolution(input, w.size(0));
    const at::Tensor x = symmetric ? input : padded(input, windows.margins(input), 0);
    const Integers none(windows.dimensions(), 0);
    return at::convolution(x, w, bias, windows.stride, symmetric ? windows.begin : none,
                           windows.dilation, /*transposed=*/false, none, groups);
  };
}

Operators window_operators() {
  return {
      {"Conv", {conv, 2, 3}},
      {"ConvTranspose", {conv_transpose, 2, 3}},
      {"Col2Im", {columns_to_image, 3, 3}},
  };
}

}  // namespace tensorquant::onnx_torch
