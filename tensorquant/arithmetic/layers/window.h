#ifndef TENSORQUANT_ARITHMETIC_LAYERS_WINDOW_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_WINDOW_H_

#include <cstdint>
#include <span>
#include <string>

namespace tensorquant {

// A kernel that moves along one dimension of an input, of a convolution or a pool. Sizes may be
// anything: all shapes are computed here, in arithmetic that cannot overflow.
struct Window {
  std::int64_t kernel = 1, stride = 1, dilation = 1;
  std::int64_t padding_begin = 0, padding_end = 0;  // zeros before and behind the input
};

// How many positions the window has in an input of this size. With ceil_mode a last one may reach
// beyond the padding, if it begins in the input or before it. Throws an Error where a size makes no
// sense or the window has no position.
std::int64_t positions(const Window& window, std::int64_t input, bool ceil_mode = false);

// The size of the output of a transposed convolution, whose end is cut off by `padding_begin` as
// well as its begin. Throws an Error where a size makes no sense. What it returns plus the kernel's
// reach is no more than std::int64_t holds.
std::int64_t transposed_size(const Window& window, std::int64_t input, std::int64_t output_padding);

// The product of sizes. Throws an Error, "WHAT is too large", where those that are not 0 multiply
// to more numbers than can be addressed.
std::int64_t volume(const std::string& what, std::span<const std::int64_t> sizes);

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_WINDOW_H_
