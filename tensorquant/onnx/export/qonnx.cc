#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx/export/qdq.h"

namespace tensorquant::onnx {
namespace {

// As QONNX calls it.
std::string rounding_mode_of(Rounding rounding) {
  switch (rounding) {
    case Rounding::even:
      return "ROUND";
    case Rounding::nearest:
      return "HALF_UP";  // away from zero
    case Rounding::nearest_zero:
      return "HALF_DOWN";  // towards zero
    case Rounding::zero:
      return "DOWN";
    case Rounding::down:
      return "FLOOR";
    case Rounding::up:
      return "CEIL";
    default:
      throw Error("QONNX has no such rounding");
  }
}

std::string scale_constant(NodeMaker& maker, float scale, const FoundScales* found, int rank) {
  if (found == nullptr) return maker.constant(scale);
  Tensor tensor = float_tensor(found->scales);
  if (found->scales.size() != 1) {  // to be broadcast
    tensor.dims.assign(static_cast<std::size_t>(rank), 1);
    tensor.dims[static_cast<std::size_t>(found->axis)] =
        static_cast<std::int64_t>(found->scales.size());
  }
  return maker.constant(std::move(tensor));
}

std::string add_quant(NodeMaker& maker, const std::string& x, const std::string& scale, int bits,
                      bool is_signed, bool is_narrow, const std::string& rounding_mode) {
  return maker.add(
      "Quant", {x, scale, maker.constant(0), maker.constant(static_cast<float>(bits))},
      {int_attribute("signed", is_signed ? 1 : 0), int_attribute("narrow", is_narrow ? 1 : 0),
       text_attribute("rounding_mode", rounding_mode)},
      kQonnxDomain);
}

std::string add_integers(NodeMaker& maker, const FixedPoint& integers, int zero,
                         const std::string& scale, const std::string& x) {
  if (zero != 0) throw Error("QONNX adds a zero point before it rounds");
  if (!integers.saturates()) throw Error("QONNX's Quant saturates");
  if (integers.bits == 1 && !integers.is_unsigned) throw Error("QONNX's one signed bit is -1 or 1");
  if (integers.bits > 24) throw Error("QONNX's Quant computes in floats, which hold 24 bits");
  const bool is_narrow = integers.overflow == FixedPoint::Overflow::symmetric;
  if (is_narrow && integers.is_unsigned) throw Error("QONNX's narrow unsigned codes are others");
  return add_quant(maker, x, scale, integers.bits, !integers.is_unsigned, is_narrow,
                   rounding_mode_of(integers.rounding));
}

std::string add_float(NodeMaker& maker, const FloatingPoint& format, const std::string& scale,
                      const std::string& x) {
  using Overflow = FloatingPoint::Overflow;
  using Special = FloatingPoint::Special;
  if (format.overflow == Overflow::propagate) throw Error("FloatQuant keeps no infinities");
  const bool has_infinity = format.special == Special::ieee;
  if (format.rounding != Rounding::even) {
    throw Error("FloatQuant rounds ties to even, or upwards and downwards by other bits");
  }
  const bool saturates = format.saturates();
  const auto number = [&](double value) { return maker.constant(static_cast<float>(value)); };
  return maker.add(
      "FloatQuant",
      {x, scale, number(format.exponent_bits), number(format.significand_bits),
       number(format.bias()), number(format.largest())},
      {int_attribute("has_inf", has_infinity ? 1 : 0),
       int_attribute("has_nan", format.special != Special::finite ? 1 : 0),
       int_attribute("has_subnormal", 1), int_attribute("saturation", saturates ? 1 : 0),
       text_attribute("rounding_mode", "ROUND")},
      kQonnxDomain);
}

}  // namespace

std::string add_qonnx(NodeMaker& maker, const Format& format, const std::string& x,
                      const FoundScales* found, int rank) {
  if (const auto integers = integer_format(format)) {
    const std::string scale = maker.constant(integers->scale);
    return add_integers(maker, integers->integers, integers->zero, scale, x);
  }
  if (const auto* floats = std::get_if<FloatingPoint>(&format)) {
    return add_float(maker, *floats, maker.constant(1), x);
  }
  if (const auto* binary = std::get_if<Binary>(&format)) {
    const std::string scale = maker.constant(static_cast<float>(binary->magnitude));
    return maker.add("BipolarQuant", {x, scale}, {}, kQonnxDomain);
  }
  if (const auto* ternary = std::get_if<Ternary>(&format)) {
    const auto magnitude = static_cast<float>(ternary->magnitude);
    if (ternary->threshold && static_cast<float>(*ternary->threshold) == magnitude / 2) {
      return add_quant(maker, x, maker.constant(magnitude), 2, true, true, "ROUND");
    }
    throw Error("QONNX's ternary numbers have a threshold of half of the magnitude");
  }
  const auto* scaled = std::get_if<Scaled>(&format);
  if (scaled != nullptr && (found != nullptr || !finds_scales(*scaled))) {
    const std::string scale =
        scale_constant(maker, static_cast<float>(scaled->scale.number), found, rank);
    if (const auto* floats = std::get_if<FloatingPoint>(&scaled->element)) {
      return add_float(maker, *floats, scale, x);
    }
    if (const auto* integers = std::get_if<FixedPoint>(&scaled->element)) {
      if (integers->fraction == 0) return add_integers(maker, *integers, 0, scale, x);
    }
  }
  throw Error("QONNX has no such format");
}

}  // namespace tensorquant::onnx
