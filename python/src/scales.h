#ifndef TENSORQUANT_PYTHON_SRC_SCALES_H_
#define TENSORQUANT_PYTHON_SRC_SCALES_H_

// The scales of a tensor's groups as a tensor of as many axes, for front-ends: its size is 1 along
// axes whose indices share a scale, and the number of blocks along an axis that is cut into some.
// So what moves the tensor's axes moves the scales' as well.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "python/src/axes.h"
#include "tensorquant/arithmetic/layers/elements.h"
#include "tensorquant/arithmetic/layers/operation.h"
#include "tensorquant/formats/scaled.h"

namespace tensorquant::python {

// The shape of the scales of a tensor, of which sizes may be unknown. Throws an Error for a format
// without scales, for blocks that run along several axes, and where the tensor has no such axes.
TensorShape scales_shape(const Quantizer& quantizer, const Axes& axes, const TensorShape& sizes);

// The scales that the format finds in x, NaN of a group that is; none in an empty one.
template <class T>
std::vector<T> find_scales(const Quantizer& quantizer, std::span<const T> x,
                           const Context& context);

// Which scale of a tensor of `scales` each element of one of `sizes` has. Where several neighbours
// along the channels' axis share one, the sizes are multiples. `axis`: along which blocks lie where
// the shapes do not tell. Throws an Error that begins with `what` where they do not fit.
Grouping grouping_of(const std::string& what, const Scale& scale, const TensorShape& sizes,
                     const TensorShape& scales, std::size_t axis);

// What arithmetic sees of a tensor of values and its scales.
template <class T>
struct ScaledInput {
  std::vector<T> q;
  ScaledOperand<T> operand;  // of this q
};
// Throws an Error that begins with `what` where the format did not make them so.
template <class T>
ScaledInput<T> scaled_input(const std::string& what, const Quantizer& quantizer,
                            const TensorShape& sizes, const T* values, const TensorShape& scales,
                            const T* numbers, std::size_t axis);

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_SCALES_H_
