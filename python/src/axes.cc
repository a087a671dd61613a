#include "python/src/axes.h"

#include <cstddef>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/formats/format.h"

namespace tensorquant::python {
namespace {

struct Range {
  std::int64_t begin, end;
  bool is_known() const { return begin <= end; }
};

Axis axis_of(Range range, const char* name, std::span<const std::int64_t> sizes) {
  const auto rank = static_cast<std::int64_t>(sizes.size());
  if (range.begin < 0) range = {range.begin + rank, range.end + rank};
  if (range.begin < 0 || range.end > rank) {
    throw Error("a tensor of " + std::to_string(rank) + (rank == 1 ? " axis" : " axes") +
                " has not the " + name + " axis that it is said to have");
  }
  return tensorquant::axis_of(sizes, static_cast<std::size_t>(range.begin),
                              static_cast<std::size_t>(range.end));
}

}  // namespace

std::optional<Layout> layout_of(const Axes& axes, std::span<const std::int64_t> sizes) {
  const Range channel = {axes[0], axes[1]}, reduction = {axes[2], axes[3]};
  if (!channel.is_known() && !reduction.is_known()) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(sizes.size());
  return Layout{
      .channel = axis_of(channel.is_known() ? channel : Range{0, 0}, "channel", sizes),
      .reduction = axis_of(reduction.is_known() ? reduction : Range{0, rank}, "reduction", sizes)};
}

bool needs_channels(const Quantizer& quantizer) {
  const Scaled* const scaled = scaled_format(quantizer);
  return scaled != nullptr && scaled->scale.per == Scale::Per::channel;
}

}  // namespace tensorquant::python
