#include "tensorquant/arithmetic/layers/window.h"

#include <algorithm>
#include <limits>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

// Holds products of two sizes, and sums of some of them.
__extension__ using Wide = __int128;

void require(bool good, const std::string& reason) {
  if (!good) throw Error(reason);
}

std::int64_t narrow(const std::string& what, Wide size) {
  require(size <= std::numeric_limits<std::int64_t>::max(), what + " is too large");
  return static_cast<std::int64_t>(size);
}

Wide reach_of(const Window& window) { return Wide{window.dilation} * (window.kernel - 1); }

void check(const Window& window, std::int64_t input) {
  struct Limit {
    const char* name;
    std::int64_t size, least;
  };
  for (const auto& [name, size, least] : {Limit{"kernel", window.kernel, 1},
                                          {"stride", window.stride, 1},
                                          {"dilation", window.dilation, 1},
                                          {"padding", window.padding_begin, 0},
                                          {"padding", window.padding_end, 0},
                                          {"input", input, 0}}) {
    require(size >= least, "a " + std::string(name) + " of " + std::to_string(size));
  }
}

}  // namespace

std::int64_t positions(const Window& window, std::int64_t input, bool ceil_mode) {
  check(window, input);
  const Wide padded =
      narrow("the padded input", Wide{input} + window.padding_begin + window.padding_end);
  const Wide room = padded - reach_of(window) - 1 + (ceil_mode ? window.stride - 1 : 0);
  require(room >= 0, "the kernel is larger than the padded input");
  const Wide count = room / window.stride + 1;
  const bool begins_behind =
      ceil_mode && (count - 1) * window.stride >= Wide{input} + window.padding_begin;
  require(count > 1 || !begins_behind, "the input is empty");
  return static_cast<std::int64_t>(begins_behind ? count - 1 : count);
}

std::int64_t transposed_size(const Window& window, std::int64_t input,
                             std::int64_t output_padding) {
  check(window, input);
  require(output_padding >= 0 && output_padding < std::max(window.stride, window.dilation),
          "an output_padding of " + std::to_string(output_padding) +
              " is neither below the stride nor below the dilation");
  // Of the output before its ends are cut off.
  const Wide full = (Wide{input} - 1) * window.stride + reach_of(window) + 1 + output_padding;
  narrow("the padded input", full + reach_of(window));
  const Wide size = full - 2 * Wide{window.padding_begin};
  require(size >= 0, "the padding is larger than the output");
  return static_cast<std::int64_t>(size);
}

std::int64_t volume(const std::string& what, std::span<const std::int64_t> sizes) {
  constexpr std::int64_t kMost =
      std::numeric_limits<std::int64_t>::max() / static_cast<std::int64_t>(sizeof(double));
  std::int64_t product = 1;
  for (const std::int64_t size : sizes) {
    require(size >= 0, what + " has a size of " + std::to_string(size));
    product = narrow(what, Wide{product} * std::max<std::int64_t>(size, 1));
  }
  require(product <= kMost, what + " is too large");
  return std::find(sizes.begin(), sizes.end(), 0) == sizes.end() ? product : 0;
}

}  // namespace tensorquant
