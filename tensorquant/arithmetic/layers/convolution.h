#ifndef TENSORQUANT_ARITHMETIC_LAYERS_CONVOLUTION_H_
#define TENSORQUANT_ARITHMETIC_LAYERS_CONVOLUTION_H_

#include <cstdint>
#include <vector>

#include "tensorquant/arithmetic/layers/scaled_operand.h"
#include "tensorquant/arithmetic/sums/sums_of_products.h"

namespace tensorquant {

// The shape of a convolution with any number of spatial dimensions. All lists have one entry for
// each of them.
struct Convolution {
  std::int64_t batch = 1, in_channels = 1, out_channels = 1, groups = 1;
  std::vector<std::int64_t> input;   // spatial size
  std::vector<std::int64_t> kernel;  // likewise
  std::vector<std::int64_t> stride, dilation;
  std::vector<std::int64_t> padding_begin;   // zeros before the input
  std::vector<std::int64_t> padding_end;     // zeros behind it; transposed: not used
  bool is_transposed = false;                // the gradient of a convolution by its input
  std::vector<std::int64_t> output_padding;  // transposed only: added to the output's end

  // Spatial size. Throws an Error for a shape that makes no sense.
  std::vector<std::int64_t> output() const;
};

// y of shape (batch, out_channels, output...) from x of (batch, in_channels, input...), w of
// (out_channels, in_channels / groups, kernel...) or, transposed, (in_channels, out_channels /
// groups, kernel...), and bias of (out_channels) or null; all in C order. Products are added up in
// the order of (input channel, kernel position) or, as arithmetic.order says, (kernel position,
// input channel), those with padding included. Throws an Error for a
// shape that makes no sense. `outside` as in SumsOfProducts. Returns the plan of the first group.
//
// With scaled operands x and w are their elements. Throws an Error where scales of x lie otherwise
// than along the channels, or change along them while kernel positions are added up first.
template <class T>
SumPlan convolve(const Arithmetic& arithmetic, const ArithmeticContext& context,
                 const Convolution& shape, const T* x, const T* w, const T* bias, T* y,
                 RangeReport* report = nullptr, bool* outside = nullptr,
                 const ScaledOperands<T>& scaled = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_LAYERS_CONVOLUTION_H_
