#ifndef TENSORQUANT_ONNX_WIRE_READ_TENSOR_H_
#define TENSORQUANT_ONNX_WIRE_READ_TENSOR_H_

#include "tensorquant/onnx/wire/tensor.h"
#include "tensorquant/onnx/wire/wire_reader.h"

namespace tensorquant::onnx {

// A TensorProto. Error where its data do not fit its type and dimensions.
Tensor read_tensor(WireReader reader);

// A StringStringEntryProto.
Metadata::value_type read_entry(WireReader reader);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_WIRE_READ_TENSOR_H_
