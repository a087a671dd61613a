#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// The standard's quantization nodes, and QONNX's.
namespace tensorquant::onnx_torch {
namespace {

// A scale or zero point along one axis of x.
at::Tensor along(const at::Tensor& values, const at::Tensor& x, std::int64_t axis) {
  if (values.dim() != 1 || values.numel() == 1) return values.reshape({});
  Integers sizes(static_cast<std::size_t>(x.dim()), 1);
  sizes[static_cast<std::size_t>(axis_of(axis, x.dim()))] = values.numel();
  return values.reshape(sizes);
}

struct Codes {
  at::ScalarType type;
  double lowest, highest;
};

Codes codes_of(at::ScalarType type) {
  switch (type) {
    case at::kByte:
      return {type, 0, 255};
    case at::kChar:
      return {type, -128, 127};
    case at::kShort:
      return {type, -32768, 32767};
    default:
      throw Error(std::string("codes of type ") + at::toString(type) + " are not supported");
  }
}

void refuse_blocks(const NodeView& node) {
  if (node.integer("block_size", 0) != 0) throw Error("scales of blocks are not supported");
}

// x / scale to the nearest integer, ties to even; then the zero point; then within the codes. NaN
// becomes the lowest code.
Function quantize_linear(const NodeView& node) {
  refuse_blocks(node);
  const at::Tensor zero_point = node.constant(2);
  if (node.has_input(2) && !zero_point.defined()) throw Error("its zero point is no constant");
  const auto told = static_cast<onnx::DataType>(node.integer("output_dtype", 2));
  const Codes codes =
      codes_of(zero_point.defined() ? zero_point.scalar_type() : scalar_type_of(told));
  return [=, axis = node.integer("axis", 1)](const Tensors& in) {
    const at::Tensor& x = in[0];
    at::Tensor code = at::round(x / along(in[1], x, axis));
    if (zero_point.defined()) code = code + along(zero_point, x, axis).to(x.scalar_type());
    code = at::where(at::isnan(code), at::scalar_tensor(codes.lowest, x.scalar_type()), code);
    return Tensors{at::clamp(code, codes.lowest, codes.highest).to(codes.type)};
  };
}

// (code - zero point) exactly, then times the scale.
Function dequantize_linear(const NodeView& node) {
  refuse_blocks(node);
  return [axis = node.integer("axis", 1)](const Tensors& in) {
    at::Tensor code = in[0].to(at::kDouble);
    if (in.size() > 2 && in[2].defined()) code = code - along(in[2], code, axis).to(at::kDouble);
    const at::Tensor scale = along(in[1], code, axis);
    return Tensors{(code * scale.to(at::kDouble)).to(scale.scalar_type())};
  };
}

using Round = at::Tensor (*)(const at::Tensor&);

Round rounding_named(const std::string& name) {
  if (name == "ROUND" || name == "HALF_EVEN") return at::round;
  if (name == "CEIL") return at::ceil;
  if (name == "FLOOR") return at::floor;
  if (name == "DOWN") return at::trunc;
  if (name == "UP") {
    return [](const at::Tensor& x) { return at::sign(x) * at::ceil(at::abs(x)); };
  }
  throw Error("rounding_mode '" + name + "' is not supported");
}

// QONNX: the zero point is added before rounding, and the limits are kept before it too.
Function quant(const NodeView& node) {
  const Round round = rounding_named(node.text("rounding_mode", "ROUND"));
  const bool is_signed = node.integer("signed", 1) != 0, narrow = node.integer("narrow", 0) != 0;
  const at::Tensor bits = node.constant(3);
  if (!bits.defined() || bits.numel() != 1) throw Error("its bit width is not one constant");
  const double width = bits.item<double>();
  const double lowest = !is_signed ? 0 : -std::exp2(width - 1) + (narrow ? 1 : 0);
  const double highest = is_signed ? std::exp2(width - 1) - 1 : std::exp2(width) - (narrow ? 2 : 1);
  const bool is_sign = is_signed && width == 1;  // one bit: -1 or 1
  return [=](const Tensors& in) {
    const at::Tensor x = in[0] / in[1] + in[2];
    const at::Tensor code =
        is_sign ? (x >= 0).to(x.scalar_type()) * 2 - 1 : round(at::clamp(x, lowest, highest));
    return Tensors{(code - in[2]) * in[1]};
  };
}

}  // namespace

Operators quantization_operators() {
  return {{"QuantizeLinear", {quantize_linear, 2, 3}},
          {"DequantizeLinear", {dequantize_linear, 2, 3}}};
}

Operators qonnx_operators() { return {{"Quant", {quant, 4, 4}}, {"IntQuant", {quant, 4, 4}}}; }

}  // namespace tensorquant::onnx_torch
