#ifndef TENSORQUANT_ONNX_EXPORT_READER_LIMITS_H_
#define TENSORQUANT_ONNX_EXPORT_READER_LIMITS_H_

#include <string>
#include <vector>

#include "tensorquant/onnx/export/export_model.h"

namespace tensorquant::onnx {

// What the reader of a QONNX file does not take, or takes otherwise, of a quantizer behind the
// outputs of an operator; a line each.
std::vector<std::string> limits_of(ExportOptions::Reader reader, const Quantizer& quantizer,
                                   const std::string& op_type);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_EXPORT_READER_LIMITS_H_
