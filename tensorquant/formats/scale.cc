#include "tensorquant/formats/scale.h"

#include <algorithm>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

void check_size(const char* name, const Axis& axis, std::size_t size) {
  // Checked by division: products of what a caller made up may overflow.
  const bool fits = size == 0
                        ? axis.outer == 0 || axis.length == 0 || axis.inner == 0
                        : axis.outer != 0 && axis.length != 0 && axis.inner != 0 &&
                              size % axis.outer == 0 && size / axis.outer % axis.length == 0 &&
                              size / axis.outer / axis.length == axis.inner;
  if (fits) return;
  throw Error("a layout whose " + std::string(name) + " axis has " + std::to_string(axis.outer) +
              " x " + std::to_string(axis.length) + " x " + std::to_string(axis.inner) +
              " elements does not fit a tensor of " + std::to_string(size));
}

}  // namespace

Grouping grouping(const Scale& scale, std::size_t size, const Context& context) {
  const Axis whole = {.outer = 1, .length = size, .inner = 1};
  switch (scale.per) {
    case Scale::Per::tensor:
      return {whole, std::max<std::size_t>(size, 1), false};
    case Scale::Per::channel:
      if (!context.layout) {
        throw Error(
            "per=channel needs to know which axis is the channels': give a channel axis, or a "
            "layout with the context");
      }
      check_size("channel", context.layout->channel, size);
      return {context.layout->channel, 1, true};
    case Scale::Per::row:
    case Scale::Per::block:
      break;
  }
  const Axis axis = context.layout ? context.layout->reduction : whole;
  check_size("reduction", axis, size);
  const std::size_t block =
      scale.per == Scale::Per::row ? axis.length : static_cast<std::size_t>(scale.block);
  return {axis, std::max<std::size_t>(block, 1), false};
}

}  // namespace tensorquant
