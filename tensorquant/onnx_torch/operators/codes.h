#ifndef TENSORQUANT_ONNX_TORCH_OPERATORS_CODES_H_
#define TENSORQUANT_ONNX_TORCH_OPERATORS_CODES_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "tensorquant/onnx/wire/tensor.h"
#include "tensorquant/quantizers/quantizer.h"

// The types of ONNX that numbers are quantized to. libtorch lacks most of them: their tensors are
// held as numbers of a type that has them all.
namespace tensorquant::onnx_torch {

// In which a tensor of a type is held: libtorch's own, else a wider one. Error for a type whose
// numbers are not computed with.
at::ScalarType held_type(onnx::DataType type);

// The numbers of a tensor whose bytes are codes of a type that libtorch lacks.
at::Tensor decoded(const onnx::Tensor& tensor);

// What numbers are quantized to: integers between two ends, or the values of a small float.
struct Codes {
  onnx::DataType type = onnx::DataType::undefined;
  double lowest = 0, highest = 0;                // of integers
  std::shared_ptr<const Quantizer> small_float;  // null for integers
};
// `saturates`: of an 8-bit float, whether numbers beyond its largest value become that, else NaN or
// infinity. Error for a type that nothing is quantized to.
Codes codes_of(onnx::DataType type, bool saturates = true);

// t as codes: of integers rounded to the nearest, ties to even, then moved by the zero point, then
// within their ends, NaN at the lowest one; of floats moved and then rounded. `zero_point` may be
// undefined.
at::Tensor to_codes(const at::Tensor& t, const at::Tensor& zero_point, const Codes& codes);

// x, of float64, in another type, rounded once: libtorch rounds to float32 before half types.
at::Tensor rounded_to(const at::Tensor& x, at::ScalarType type);

}  // namespace tensorquant::onnx_torch

#endif  // TENSORQUANT_ONNX_TORCH_OPERATORS_CODES_H_
