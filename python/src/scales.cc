#include "python/src/scales.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/kernels/kernels.h"

namespace tensorquant::python {
namespace {

const Scaled& format_of(const Quantizer& quantizer) {
  const Scaled* const format = scaled_format(quantizer);
  if (format == nullptr) throw Error("quantizer '" + quantizer.spec() + "' has no scales");
  return *format;
}

std::int64_t blocks_of(std::int64_t length, std::int64_t block) {
  return length <= 0 ? length : (length - 1) / block + 1;
}

std::string to_text(const TensorShape& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return "(" + text + ")";
}

// Of scales for each index of an axis, of which several neighbours may share one.
std::optional<Grouping> by_index(const TensorShape& sizes, const TensorShape& scales) {
  const auto is_shared = [](std::int64_t size) { return size == 1; };
  const auto first = std::find_if_not(scales.begin(), scales.end(), is_shared);
  const auto last = std::find_if_not(scales.rbegin(), scales.rend(), is_shared).base();
  const auto begin = static_cast<std::size_t>(first - scales.begin());
  const auto end = static_cast<std::size_t>(last - scales.begin());
  for (std::size_t d = begin; d < end; ++d) {
    if (d + 1 < end ? sizes[d] != scales[d] : scales[d] == 0 || sizes[d] % scales[d] != 0)
      return {};
  }
  Axis axis = axis_of(sizes, begin, end);
  const std::size_t neighbours = static_cast<std::size_t>(sizes[end - 1] / scales[end - 1]);
  axis.length /= neighbours;
  axis.inner *= neighbours;
  return Grouping{axis, 1, true};
}

// Of blocks of a format, or rows, along axes that are taken as one.
std::optional<Grouping> along(const Scale& scale, const TensorShape& sizes,
                              const TensorShape& scales, std::size_t begin, std::size_t end) {
  const Axis axis = axis_of(sizes, begin, end);
  const bool is_row = scale.per == Scale::Per::row;
  const std::size_t block =
      std::max<std::size_t>(is_row ? axis.length : static_cast<std::size_t>(scale.block), 1);
  std::size_t found = 1;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    if (d >= begin && d < end) {
      found *= static_cast<std::size_t>(scales[d]);
    } else if (sizes[d] != scales[d]) {
      return {};
    }
  }
  const Grouping grouping = {axis, block, false};
  if (grouping.blocks() != found) return {};
  return grouping;
}

}  // namespace

TensorShape scales_shape(const Quantizer& quantizer, const Axes& axes, const TensorShape& sizes) {
  const Scale& scale = format_of(quantizer).scale;
  TensorShape shape(sizes.size(), 1);
  if (scale.per == Scale::Per::tensor) return shape;
  const auto [channels, reduction] = ranges_of(axes, sizes.size());
  if (scale.per == Scale::Per::channel) {
    if (!channels)
      throw Error("quantizer '" + quantizer.spec() + "': which axis is the channels'?");
    std::copy(sizes.begin() + channels->begin, sizes.begin() + channels->end,
              shape.begin() + channels->begin);
    return shape;
  }
  const AxisRange range = reduction.value_or(AxisRange{0, static_cast<std::int64_t>(sizes.size())});
  const bool has_blocks = scale.per == Scale::Per::block;
  if (has_blocks && range.end - range.begin > 1) {
    throw Error("quantizer '" + quantizer.spec() +
                "': its blocks run along several axes, which have no place for their scales");
  }
  shape = sizes;
  for (std::int64_t d = range.begin; d < range.end; ++d) {
    std::int64_t& size = shape[static_cast<std::size_t>(d)];
    size = has_blocks ? blocks_of(size, scale.block) : 1;
  }
  return shape;
}

template <class T>
std::vector<T> find_scales(const Quantizer& quantizer, std::span<const T> x,
                           const Context& context) {
  const Scaled& format = format_of(quantizer);
  if (x.empty()) return {};
  std::vector<T> q(x.size());
  return split(format, x, std::span<T>(q), context);
}

Grouping grouping_of(const std::string& what, const Scale& scale, const TensorShape& sizes,
                     const TensorShape& scales, std::size_t axis) {
  if (sizes.size() == scales.size()) {
    const auto count = axis_of(sizes, 0, sizes.size()).length;
    if (axis_of(scales, 0, scales.size()).length == 1) {
      return {{.outer = 1, .length = count, .inner = 1}, std::max<std::size_t>(count, 1), false};
    }
    std::optional<Grouping> grouping;
    if (scale.per == Scale::Per::channel) {
      grouping = by_index(sizes, scales);
    } else if (scale.per != Scale::Per::tensor) {
      if (axis < sizes.size()) grouping = along(scale, sizes, scales, axis, axis + 1);
      for (std::size_t begin = 0; begin < sizes.size() && !grouping; ++begin) {
        for (std::size_t end = begin + 1; end <= sizes.size() && !grouping; ++end) {
          grouping = along(scale, sizes, scales, begin, end);
        }
      }
    }
    if (grouping) return *grouping;
  }
  throw Error(what + " of " + to_text(scales) + " do not fit a tensor of " + to_text(sizes));
}

template <class T>
ScaledInput<T> scaled_input(const std::string& what, const Quantizer& quantizer,
                            const TensorShape& sizes, const T* values, const TensorShape& scales,
                            const T* numbers, std::size_t axis) {
  const Scaled& format = format_of(quantizer);
  const auto span = [](const T* data, const TensorShape& shape) {
    return std::span<const T>(data, axis_of(shape, 0, shape.size()).length);
  };
  ScaledInput<T> input;
  input.operand = {.q = {},
                   .scales = span(numbers, scales),
                   .grouping = grouping_of(what + "'s scales", format.scale, sizes, scales, axis),
                   .min_exponent = smallest_normal_exponent(format.element)};
  input.q = elements_of(what + "'s numbers", format, span(values, sizes), input.operand.scales,
                        input.operand.grouping);
  input.operand.q = input.q;
  return input;
}

#define TENSORQUANT_INSTANTIATE(T)                                                               \
  template std::vector<T> find_scales(const Quantizer&, std::span<const T>, const Context&);     \
  template ScaledInput<T> scaled_input(const std::string&, const Quantizer&, const TensorShape&, \
                                       const T*, const TensorShape&, const T*, std::size_t)
TENSORQUANT_INSTANTIATE(float);
TENSORQUANT_INSTANTIATE(double);
#undef TENSORQUANT_INSTANTIATE

}  // namespace tensorquant::python
