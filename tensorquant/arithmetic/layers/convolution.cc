#include "tensorquant/arithmetic/layers/convolution.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>

#include "tensorquant/arithmetic/layers/offsets.h"
#include "tensorquant/arithmetic/layers/window.h"
#include "tensorquant/arithmetic/sums/factor_range.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"

namespace tensorquant {
namespace {

using Sizes = std::vector<std::int64_t>;

// Of sizes whose volume has been checked.
std::int64_t product_of(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

Window window_of(const Convolution& c, std::size_t d) {
  return {c.kernel[d], c.stride[d], c.dilation[d], c.padding_begin[d],
          c.is_transposed ? 0 : c.padding_end[d]};
}

// The size of the buffer that BufferLayout describes.
Sizes buffer_of(const Convolution& c, const Sizes& output) {
  Sizes size = output;
  for (std::size_t d = 0; d < size.size(); ++d) {
    size[d] = c.is_transposed ? output[d] + c.dilation[d] * (c.kernel[d] - 1)
                              : c.input[d] + c.padding_begin[d] + c.padding_end[d];
  }
  return size;
}

void check_volume(const std::string& what, std::int64_t outer, std::int64_t inner, Sizes sizes) {
  sizes.insert(sizes.begin(), {outer, inner});
  volume(what, sizes);
}

// The output's size; throws an Error where any of the shapes makes no sense.
Sizes checked_output(const Convolution& c) {
  const auto require = [](bool good, const std::string& reason) {
    if (!good) throw Error(reason);
  };
  const std::size_t dimensions = c.input.size();
  require(dimensions > 0, "an input needs a dimension besides batch and channels");
  using Named = std::pair<const Sizes*, const char*>;
  for (const auto& [sizes, name] : {Named{&c.kernel, "kernel"},
                                    {&c.stride, "stride"},
                                    {&c.dilation, "dilation"},
                                    {&c.padding_begin, "padding_begin"},
                                    c.is_transposed ? Named{&c.output_padding, "output_padding"}
                                                    : Named{&c.padding_end, "padding_end"}}) {
    require(sizes->size() == dimensions, std::string(name) + " needs an entry for each dimension");
  }
  require(c.groups >= 1 && c.in_channels % c.groups == 0 && c.out_channels % c.groups == 0,
          "channels must be multiples of the groups");
  Sizes output(dimensions);
  for (std::size_t d = 0; d < dimensions; ++d) {
    output[d] = c.is_transposed ? transposed_size(window_of(c, d), c.input[d], c.output_padding[d])
                                : positions(window_of(c, d), c.input[d]);
  }
  check_volume("the output", c.batch, c.out_channels, output);
  check_volume("the kernel", c.out_channels, c.in_channels, c.kernel);
  check_volume("the padded input", c.batch, c.in_channels, buffer_of(c, output));
  return output;
}

// The input in a buffer in which the taps of every output lie at fixed distances from its first
// one: with zeros around it and, transposed, between its points.
struct BufferLayout {
  explicit BufferLayout(const Convolution& c) : output(c.output()), size(buffer_of(c, output)) {
    for (std::size_t d = 0; d < output.size(); ++d) {
      const std::int64_t reach = c.dilation[d] * (c.kernel[d] - 1);
      first.push_back(c.is_transposed ? reach - c.padding_begin[d] : c.padding_begin[d]);
    }
    const Sizes ones(output.size(), 1);
    spread = c.is_transposed ? c.stride : ones;
    const Sizes strides = strides_of(size);
    outputs = points(output, c.is_transposed ? ones : c.stride, strides);
    taps = points(c.kernel, c.dilation, strides);
    if (c.is_transposed) std::reverse(taps.begin(), taps.end());
  }

  Sizes output;
  Sizes size;     // of the buffer
  Sizes first;    // where input 0 lies; may lie outside
  Sizes spread;   // the distance of neighbouring inputs
  Sizes outputs;  // offset of each output's first tap
  Sizes taps;     // offset of each kernel position from there
};

// False where x itself can be the buffer.
bool needs_buffer(const Convolution& c, const BufferLayout& layout) {
  return layout.size != c.input ||
         std::any_of(layout.first.begin(), layout.first.end(), [](auto i) { return i != 0; });
}

template <class T>
std::vector<T> buffered(const Convolution& c, const BufferLayout& layout, const T* x) {
  const std::size_t dimensions = c.input.size();
  const Sizes strides = strides_of(layout.size);
  // The lines of the last dimension: where each lies in the buffer, -1 where it lies outside.
  const Sizes box(c.input.begin(), c.input.end() - 1);
  Sizes places(static_cast<std::size_t>(product_of(box)));
  for (std::size_t line = 0; line < places.size(); ++line) {
    auto rest = static_cast<std::int64_t>(line);
    for (std::size_t d = dimensions - 1; d-- > 0;) {
      const std::int64_t i = layout.first[d] + rest % box[d] * layout.spread[d];
      rest /= box[d];
      const bool is_inside = i >= 0 && i < layout.size[d];
      places[line] = is_inside && places[line] >= 0 ? places[line] + i * strides[d] : -1;
    }
  }
  // The points of a line that the buffer has.
  const std::int64_t length = c.input.back(), first = layout.first.back();
  const std::int64_t spread = layout.spread.back();
  const auto at_or_behind = [&](std::int64_t place) {  // the first point that is
    return place <= first ? 0 : (place - first - 1) / spread + 1;
  };
  const std::int64_t begin = std::min(at_or_behind(0), length);
  const std::int64_t end = std::min(at_or_behind(layout.size.back()), length);

  const auto plane = static_cast<std::size_t>(product_of(layout.size));
  const auto planes = static_cast<std::size_t>(c.batch * c.in_channels);
  std::vector<T> buffer(planes * plane);
  if (buffer.empty()) return buffer;
  parallel_for(planes * plane, plane, [&](std::size_t from_element, std::size_t to_element) {
    for (std::size_t p = from_element / plane; p < to_element / plane; ++p) {
      for (std::size_t line = 0; line < places.size(); ++line) {
        if (places[line] < 0) continue;
        const T* from = x + static_cast<std::int64_t>(p * places.size() + line) * length;
        T* to = buffer.data() + p * plane + places[line];
        if (spread == 1) {
          std::copy(from + begin, from + end, to + (first + begin));
        } else {
          for (std::int64_t i = begin; i < end; ++i) to[first + i * spread] = from[i];
        }
      }
    }
  });
  return buffer;
}

// Where the taps of a group's sums lie: those of its channels, of which each is `channels[c]` away
// from the first one, at the kernel positions.
Sizes taps_of(TapOrder order, const Sizes& channels, const Sizes& positions) {
  return order == TapOrder::tap ? sums_of(positions, channels) : sums_of(channels, positions);
}

// The scales of the input in the buffer: those that vary with the position as an image themselves.
template <class T>
class DataScales {
 public:
  DataScales(const Convolution& c, const BufferLayout& layout, const ScaledOperand<T>& operand)
      : convolution_(c), layout_(layout), operand_(operand) {
    if (operand.has_one_scale()) return;
    const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    const Axis channels = {size(c.batch), size(c.in_channels), size(product_of(c.input))};
    if (!(operand.grouping.axis == channels)) {
      throw Error("the input's scales do not run along its channels");
    }
    if (operand.grouping.by_index) return;
    image_ = c;
    image_.in_channels = static_cast<std::int64_t>(operand.grouping.blocks());
    if (needs_buffer(c, layout)) buffer_ = buffered(image_, layout, operand.scales.data());
  }

  // Of the channels from the first one on.
  Scales<T> of_group(TapOrder order, std::int64_t first, std::int64_t channels) const {
    const Sizes together(layout_.taps.size(), 0);
    const Sizes lines(static_cast<std::size_t>(convolution_.batch) * layout_.outputs.size(), 0);
    if (operand_.has_one_scale()) {
      const Sizes none(static_cast<std::size_t>(channels), 0);
      return {operand_.scales, lines, taps_of(order, none, together)};
    }
    const auto& [axis, block, by_index] = operand_.grouping;
    Sizes places = multiples(channels, 1);
    for (std::int64_t& c : places) c += first;
    if (by_index) return {operand_.scales, lines, taps_of(order, places, together)};
    const std::int64_t plane = product_of(layout_.size);
    for (std::int64_t& c : places) c = c / static_cast<std::int64_t>(block) * plane;
    return {buffer_.empty() ? operand_.scales : std::span<const T>(buffer_),
            sums_of(multiples(convolution_.batch, image_.in_channels * plane), layout_.outputs),
            taps_of(order, places, layout_.taps)};
  }

 private:
  const Convolution& convolution_;
  const BufferLayout& layout_;
  const ScaledOperand<T>& operand_;
  Convolution image_;
  std::vector<T> buffer_;
};

// Blocks of channels end where the next channel's products are added up.
template <class T>
void check_order(TapOrder order, std::int64_t kernel, const ScaledOperands<T>& scaled) {
  const auto has_blocks = [](const ScaledOperand<T>* operand) {
    return operand != nullptr && operand->has_blocks();
  };
  if (order == TapOrder::tap || kernel == 1) return;
  if (has_blocks(scaled.data) || has_blocks(scaled.weights)) {
    throw Error(
        "scales of blocks and rows need the order \"tap\", which adds up all channels of a kernel "
        "position");
  }
}

}  // namespace

std::vector<std::int64_t> Convolution::output() const {
  try {
    return checked_output(*this);
  } catch (const Error& error) {
    throw Error("convolution: " + std::string(error.what()));
  }
}

template <class T>
SumPlan convolve(const Arithmetic& arithmetic, const ArithmeticContext& context,
                 const Convolution& shape, const T* x, const T* w, const T* bias, T* y,
                 RangeReport* report, bool* outside, const ScaledOperands<T>& scaled) {
  const BufferLayout layout(shape);
  check_order(arithmetic.order, product_of(shape.kernel), scaled);
  std::vector<T> buffer;
  if (needs_buffer(shape, layout)) {
    buffer = buffered(shape, layout, x);
    x = buffer.data();
  }
  const std::int64_t plane = product_of(layout.size), outputs = product_of(layout.output);
  const std::int64_t kernel = product_of(shape.kernel);
  const std::int64_t in_group = shape.in_channels / shape.groups;
  const std::int64_t out_group = shape.out_channels / shape.groups;

  // Groups have their planes among those of the others: look at all numbers once.
  std::optional<FactorRange> range;
  if constexpr (std::is_same_v<T, float>) {
    if (shape.groups > 1) range = range_of(span_of(x, shape.batch * shape.in_channels * plane));
  }

  // w of a group: (out_group, in_group, kernel), transposed (in_group, out_group, kernel).
  SumsOfProducts<T> common;
  common.a.lines = multiples(out_group, shape.is_transposed ? kernel : in_group * kernel);
  common.a.taps = taps_of(arithmetic.order,
                          multiples(in_group, shape.is_transposed ? out_group * kernel : kernel),
                          multiples(kernel, 1));
  common.b.lines = sums_of(multiples(shape.batch, shape.in_channels * plane), layout.outputs);
  common.b.taps = taps_of(arithmetic.order, multiples(in_group, plane), layout.taps);
  common.b.range = range;
  set_min_exponents(of_elements(arithmetic, scaled), common.b, common.a);
  std::optional<DataScales<T>> data_scales;
  if (scaled.data != nullptr) data_scales.emplace(shape, layout, *scaled.data);
  common.y = y;
  common.outside = outside;
  common.rows = multiples(out_group, outputs);
  common.columns =
      sums_of(multiples(shape.batch, shape.out_channels * outputs), multiples(outputs, 1));

  SumPlan first_plan;
  const auto run_group = [&](std::int64_t group) {
    SumsOfProducts<T> sums = common;
    const std::int64_t weights = out_group * in_group * kernel, first = group * in_group;
    sums.a.data = span_of(w + group * weights, weights);
    sums.b.data =
        span_of(x + first * plane,
                std::max<std::int64_t>(0, shape.batch * shape.in_channels - first) * plane);
    if (data_scales) sums.b.scales = data_scales->of_group(arithmetic.order, first, in_group);
    if (scaled.weights != nullptr) {
      sums.a.scales = scales_of_factor("the weights' scales", *scaled.weights, group * weights,
                                       sums.a.lines, sums.a.taps);
    }
    sums.row_bias = bias != nullptr ? bias + group * out_group : nullptr;
    for (std::int64_t& row : sums.rows) row += group * out_group * outputs;
    const SumPlan plan = sums_of_products(arithmetic, context, sums, report);
    if (group == 0) first_plan = plan;
  };
  if (shape.groups == 1 || report != nullptr) {
    for (std::int64_t group = 0; group < shape.groups; ++group) run_group(group);
    return first_plan;
  }
  const double products = static_cast<double>(shape.batch * outputs * out_group) *
                          static_cast<double>(in_group * kernel);
  const auto work = static_cast<std::size_t>(std::clamp(products, 1.0, 0x1p30));
  parallel_for(static_cast<std::size_t>(shape.groups) * work, work,
               [&](std::size_t begin, std::size_t end) {
                 for (std::size_t group = begin / work; group < end / work; ++group) {
                   run_group(static_cast<std::int64_t>(group));
                 }
               });
  return first_plan;
}

template SumPlan convolve(const Arithmetic&, const ArithmeticContext&, const Convolution&,
                          const float*, const float*, const float*, float*, RangeReport*, bool*,
                          const ScaledOperands<float>&);
template SumPlan convolve(const Arithmetic&, const ArithmeticContext&, const Convolution&,
                          const double*, const double*, const double*, double*, RangeReport*, bool*,
                          const ScaledOperands<double>&);

}  // namespace tensorquant
