#ifndef TENSORQUANT_QUANTIZERS_CLIPPED_GRADIENT_H_
#define TENSORQUANT_QUANTIZERS_CLIPPED_GRADIENT_H_

#include <span>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// True for a built-in quantizer with grad=clipped, whose gradient asks of x only where it lies and
// of y nothing: a front-end can keep one bool an element for it instead of both tensors.
bool clips_gradient(const Quantizer& quantizer);

// For such a quantizer: inside[i] is whether gradient() gives dy at x[i]; it gives 0 elsewhere. T
// is float, double, Float16 or BFloat16; the spans have one size; the context is that of
// quantize().
template <class T>
void find_inside(const Quantizer& quantizer, std::span<const T> x, std::span<bool> inside,
                 const Context& context = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_CLIPPED_GRADIENT_H_
