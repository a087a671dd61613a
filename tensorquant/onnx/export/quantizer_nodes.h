#ifndef TENSORQUANT_ONNX_EXPORT_QUANTIZER_NODES_H_
#define TENSORQUANT_ONNX_EXPORT_QUANTIZER_NODES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/onnx/export/node_maker.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant::onnx {

// How a quantizer is written in a file.
enum class Dialect {
  qdq,        // QuantizeLinear and DequantizeLinear, or casts
  qonnx,      // Quant, BipolarQuant and FloatQuant: https://github.com/fastmachinelearning/qonnx
  functions,  // a function of standard operators for each quantizer string
};
inline constexpr const char* kQonnxDomain = "qonnx.custom_op.general";
inline constexpr const char* kFunctionDomain = "tensorquant";

// A format of integers times a scale: q = clamp(round(x / scale) + zero) - zero, times scale.
struct IntegerFormat {
  FixedPoint integers;  // of the elements: its bits, sign, rounding and overflow
  float scale = 1;
  int zero = 0;
};
// Nothing for another format, or where the scale is found in the tensor.
std::optional<IntegerFormat> integer_format(const Format& format);

// What a constant tensor's own scales are, along an axis; of one tensor's scale there is one.
struct FoundScales {
  std::vector<float> scales;
  std::int64_t axis = 0;
};

// Adds nodes that make of the value `x`, of type float, what the quantizer does, but for NaN, and
// gives the name of the last one's output. `found`: the scales that the quantizer finds in a
// constant x of `rank` axes. Error with the reason where the dialect cannot say it.
std::string add_quantizer(NodeMaker& maker, Dialect dialect, const Quantizer& quantizer,
                          const std::string& x, const FoundScales* found = nullptr, int rank = 0);

// The one operator of kFunctionDomain that has no function: ONNX Runtime and others do not know it.
// Its attributes are the string of the quantizer, and what its numbers' Context is made of.
inline constexpr const char* kOpaqueOperator = "Quantizer";
struct OpaqueContext {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  int axis = 1;  // of the channels, and along which blocks lie
};
// As add_quantizer(), for any quantizer.
std::string add_opaque_quantizer(NodeMaker& maker, const Quantizer& quantizer, const std::string& x,
                                 const OpaqueContext& context);

// The function of a quantizer string, which its node calls by its name: "nearest_8_4".
std::string function_name(const std::string& spec);
// Error with the reason where standard operators cannot say it.
FunctionProto quantizer_function(const Quantizer& quantizer, std::int64_t version);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_EXPORT_QUANTIZER_NODES_H_
