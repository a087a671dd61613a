#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/codes.h"
#include "tensorquant/onnx_torch/operators/operators.h"
#include "tensorquant/onnx_torch/operators/scales.h"

// The standard's quantization nodes.
namespace tensorquant::onnx_torch {
namespace {

using onnx::DataType;

// What an attribute says of a type; undefined where it is left out, or the version has none.
DataType type_attribute(const NodeView& node, const char* name, std::int64_t since) {
  return node.version() < since ? DataType::undefined
                                : static_cast<DataType>(node.integer(name, 0));
}

// The codes' type is that of the zero point, or else told; uint8 if neither is there.
DataType code_type(const NodeView& node) {
  const DataType told = type_attribute(node, "output_dtype", 21);
  if (!node.has_input(2)) return told == DataType::undefined ? DataType::u8 : told;
  const DataType found = node.input_type(2);
  if (found == DataType::undefined) throw Error("the type of its zero point is not known");
  if (told != DataType::undefined && told != found) {
    throw Error("attribute 'output_dtype' is " + name_of(told) + ", but its zero point is of " +
                name_of(found));
  }
  return found;
}

at::ScalarType floating_type(DataType type, const char* what) {
  const bool known = type == DataType::f32 || type == DataType::f16 || type == DataType::bf16;
  if (!known) throw Error(std::string(what) + ": type " + name_of(type) + " is not supported");
  return scalar_type_of(type);
}

// x / scale, in the scale's type or another that is told; as codes.
Function quantize_linear(const NodeView& node) {
  const Granularity granularity(node);
  const Codes codes =
      codes_of(code_type(node), node.version() < 19 || node.integer("saturate", 1) != 0);
  const DataType told = type_attribute(node, "precision", 23);
  const at::ScalarType precision =
      told == DataType::undefined ? at::ScalarType::Undefined : floating_type(told, "'precision'");
  return [=](const Tensors& in) {
    const at::Tensor& x = in[0];
    if (!in[1].is_floating_point()) throw Error("its scale is no float");
    const at::ScalarType type =
        precision == at::ScalarType::Undefined ? in[1].scalar_type() : precision;
    const at::Tensor scale = granularity.over(in[1], x, "its scale");
    const at::Tensor zero_point = granularity.over(optional_input(in, 2), x, "its zero point");
    return Tensors{to_codes(x.to(type) / scale.to(type), zero_point, codes)};
  };
}

// A product of float64 numbers as the nearest of them whose last bit is odd, unless it is exact:
// what is rounded to fewer bits from there rounds as the real product.
at::Tensor odd_product(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor y = (a * b).contiguous();
  const at::Tensor x = a.expand(y.sizes()).contiguous(), w = b.expand(y.sizes()).contiguous();
  auto* out = y.data_ptr<double>();
  const auto* u = x.data_ptr<double>();
  const auto* v = w.data_ptr<double>();
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const double error = std::fma(u[i], v[i], -out[i]);
    std::uint64_t bits;
    std::memcpy(&bits, &out[i], sizeof bits);
    if (!std::isfinite(out[i]) || error == 0 || (bits & 1) != 0) continue;
    bits += (error > 0) == (out[i] > 0) ? 1 : std::uint64_t(-1);
    std::memcpy(&out[i], &bits, sizeof bits);
  }
  return y;
}

// (code - zero point) exactly, times the scale, rounded once.
Function dequantize_linear(const NodeView& node) {
  const Granularity granularity(node);
  const DataType told = type_attribute(node, "output_dtype", 23);
  if (node.input_type(1) == DataType::float8e8m0 && told == DataType::undefined) {
    throw Error("attribute 'output_dtype': expected for a scale of type float8e8m0");
  }
  const at::ScalarType output = told == DataType::undefined ? at::ScalarType::Undefined
                                                            : floating_type(told, "'output_dtype'");
  return [=](const Tensors& in) {
    at::Tensor number = in[0].to(at::kDouble);
    const at::Tensor zero_point = granularity.over(optional_input(in, 2), number, "its zero point");
    if (zero_point.defined()) number = number - zero_point.to(at::kDouble);
    const at::Tensor scale = granularity.over(in[1], number, "its scale");
    const at::ScalarType type = output == at::ScalarType::Undefined ? in[1].scalar_type() : output;
    return Tensors{rounded_to(odd_product(number, scale.to(at::kDouble)), type)};
  };
}

// To uint8, by the range of x and 0.
Function dynamic_quantize_linear(const NodeView&) {
  const Codes codes = codes_of(DataType::u8);
  return [=](const Tensors& in) {
    const at::Tensor& x = in[0];
    if (x.scalar_type() != at::kFloat) throw Error("expected an input of type float");
    const at::Tensor none = at::zeros({}, at::kFloat);
    const bool is_empty = x.numel() == 0;
    const at::Tensor lowest = is_empty ? none : at::minimum(x.min(), none);
    const at::Tensor highest = is_empty ? none : at::maximum(x.max(), none);
    at::Tensor scale = (highest - lowest) / codes.highest;
    scale = at::where(scale == 0, at::ones_like(scale), scale);  // all zeros: any would do
    const at::Tensor zero_point = to_codes(-lowest / scale, at::Tensor(), codes);
    return Tensors{to_codes(x / scale, zero_point, codes), scale, zero_point};
  };
}

}  // namespace

Operators quantization_operators() {
  return {{"QuantizeLinear", {quantize_linear, 2, 3}},
          {"DequantizeLinear", {dequantize_linear, 2, 3}},
          {"DynamicQuantizeLinear", {dynamic_quantize_linear, 1, 1}}};
}

}  // namespace tensorquant::onnx_torch
