#include "tensorquant/onnx/export/quantizer_nodes.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx/export/qdq.h"

namespace tensorquant::onnx {

std::optional<IntegerFormat> integer_format(const Format& format) {
  if (const auto* fixed = std::get_if<FixedPoint>(&format)) {
    if (std::abs(fixed->fraction) > 126) return std::nullopt;
    return IntegerFormat{*fixed, std::ldexp(1.0F, -fixed->fraction), 0};
  }
  const auto* scaled = std::get_if<Scaled>(&format);
  if (scaled == nullptr || finds_scales(*scaled)) return std::nullopt;
  const auto* fixed = std::get_if<FixedPoint>(&scaled->element);
  if (fixed == nullptr) return std::nullopt;
  const auto scale = static_cast<float>(scaled->scale.number);
  const float step = std::ldexp(scale, -fixed->fraction);
  const double largest = std::max(-fixed->lowest_integer(), fixed->highest_integer());
  const bool fits = largest * 2 * static_cast<double>(step) < std::numeric_limits<float>::max();
  if (!std::isnormal(step) || !fits) return std::nullopt;
  return IntegerFormat{*fixed, step, scaled->scale.zero};
}

std::string add_quantizer(NodeMaker& maker, Dialect dialect, const Quantizer& quantizer,
                          const std::string& x, const FoundScales* found, int rank) {
  const Format* format = quantizer.format();
  if (format == nullptr) throw Error("a quantizer of a user's own has no form in ONNX");
  if (quantizer.is_random()) throw Error("rounding at random has no form in ONNX");
  const auto* scaled = std::get_if<Scaled>(format);
  if (scaled != nullptr && finds_scales(*scaled) && found == nullptr) {
    throw Error("its scale is found in the numbers: put numbers in, as `calibrate` does");
  }
  switch (dialect) {
    case Dialect::qdq:
      return add_qdq(maker, *format, x, found);
    case Dialect::qonnx:
      return add_qonnx(maker, *format, x, found, rank);
    case Dialect::functions:
      break;
  }
  if (found != nullptr) throw Error("a function knows no scales of a tensor");
  quantizer_function(quantizer, maker.version());  // or an error
  return maker.add(function_name(quantizer.spec()), {x}, {}, kFunctionDomain);
}

std::string add_opaque_quantizer(NodeMaker& maker, const Quantizer& quantizer, const std::string& x,
                                 const OpaqueContext& context) {
  return maker.add(kOpaqueOperator, {x},
                   {text_attribute("quantizer", quantizer.spec()),
                    int_attribute("seed", static_cast<std::int64_t>(context.seed)),
                    int_attribute("stream", context.stream), int_attribute("axis", context.axis)},
                   kFunctionDomain);
}

}  // namespace tensorquant::onnx
