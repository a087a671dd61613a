#include "python/src/axes.h"

#include <cstddef>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/formats/format.h"

namespace tensorquant::python {
namespace {

std::optional<AxisRange> range_of(AxisRange range, const char* name, std::int64_t rank) {
  if (range.end < range.begin) return std::nullopt;
  if (range.begin < 0) range = {range.begin + rank, range.end + rank};
  if (range.begin < 0 || range.end > rank) {
    throw Error("a tensor of " + std::to_string(rank) + (rank == 1 ? " axis" : " axes") +
                " has not the " + name + " axis that it is said to have");
  }
  return range;
}

Axis axis_of(AxisRange range, std::span<const std::int64_t> sizes) {
  return tensorquant::axis_of(sizes, static_cast<std::size_t>(range.begin),
                              static_cast<std::size_t>(range.end));
}

}  // namespace

AxisRanges ranges_of(const Axes& axes, std::size_t rank) {
  const auto count = static_cast<std::int64_t>(rank);
  return {.channel = range_of({axes[0], axes[1]}, "channel", count),
          .reduction = range_of({axes[2], axes[3]}, "reduction", count)};
}

std::optional<Layout> layout_of(const Axes& axes, std::span<const std::int64_t> sizes) {
  const auto [channel, reduction] = ranges_of(axes, sizes.size());
  if (!channel && !reduction) return std::nullopt;
  const AxisRange none = {0, 0}, all = {0, static_cast<std::int64_t>(sizes.size())};
  return Layout{.channel = axis_of(channel.value_or(none), sizes),
                .reduction = axis_of(reduction.value_or(all), sizes)};
}

bool needs_channels(const Quantizer& quantizer) {
  const Scaled* const scaled = scaled_format(quantizer);
  return scaled != nullptr && scaled->scale.per == Scale::Per::channel;
}

}  // namespace tensorquant::python
