#ifndef TENSORQUANT_LIBTORCH_TENSORS_TENSOR_LAYOUT_H_
#define TENSORQUANT_LIBTORCH_TENSORS_TENSOR_LAYOUT_H_

#include <c10/util/ArrayRef.h>

#include "tensorquant/formats/layout.h"

namespace tensorquant {

// Which axes of a tensor its channels and the sum of a dot product run along; below 0 they count
// from the last one.
struct TensorAxes {
  int channel = 0;
  int reduction = 1;
};

// What they are in a tensor of these sizes. An axis that it has not is its last one: of a bias, the
// only one. A number without axes has one of length 1.
Layout layout_of(at::IntArrayRef sizes, TensorAxes axes);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_TENSORS_TENSOR_LAYOUT_H_
