#ifndef TENSORQUANT_ONNX_EXPORT_QDQ_H_
#define TENSORQUANT_ONNX_EXPORT_QDQ_H_

#include <string>

#include "tensorquant/onnx/export/quantizer_nodes.h"

namespace tensorquant::onnx {

// Those of add_quantizer().
std::string add_qdq(NodeMaker& maker, const Format& format, const std::string& x,
                    const FoundScales* found);
std::string add_qonnx(NodeMaker& maker, const Format& format, const std::string& x,
                      const FoundScales* found, int rank);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_EXPORT_QDQ_H_
