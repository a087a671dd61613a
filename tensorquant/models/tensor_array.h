#ifndef TENSORQUANT_MODELS_TENSOR_ARRAY_H_
#define TENSORQUANT_MODELS_TENSOR_ARRAY_H_

#include <ATen/core/Tensor.h>

#include "tensorquant/data/array.h"

namespace tensorquant {

// Copies between tensors and the arrays of files, in C order. Types: f32, f64, i32, i64, u8, and to
// tensors boolean, i8, i16 and f16; an Error for others.
Array to_array(const at::Tensor& tensor);
at::Tensor to_tensor(const Array& array);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_TENSOR_ARRAY_H_
