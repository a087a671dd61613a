#include "tensorquant/onnx_torch/operators/codes.h"

#include <ATen/ATen.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <variant>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/tensors/tensor_ops.h"
#include "tensorquant/onnx_torch/operators/node_view.h"

namespace tensorquant::onnx_torch {
namespace {

using onnx::DataType;

struct SmallInteger {
  int bits;
  bool is_signed;
};

// Nothing for types that are no small integers.
std::optional<SmallInteger> small_integer(DataType type) {
  switch (type) {
    case DataType::u8:
      return SmallInteger{8, false};
    case DataType::i8:
      return SmallInteger{8, true};
    case DataType::u16:
      return SmallInteger{16, false};
    case DataType::i16:
      return SmallInteger{16, true};
    case DataType::uint4:
      return SmallInteger{4, false};
    case DataType::int4:
      return SmallInteger{4, true};
    case DataType::uint2:
      return SmallInteger{2, false};
    case DataType::int2:
      return SmallInteger{2, true};
    default:
      return {};
  }
}

// As the formats of the core say it; nothing for types that are no small floats.
std::string small_float(DataType type) {
  switch (type) {
    case DataType::float8e4m3fn:
      return "float,4,3,special=fn";
    case DataType::float8e4m3fnuz:
      return "float,4,3,special=fnuz";
    case DataType::float8e5m2:
      return "float,5,2";
    case DataType::float8e5m2fnuz:
      return "float,5,2,special=fnuz";
    case DataType::float4e2m1:
      return "float,2,1,special=finite";
    default:
      return "";
  }
}

// The value of a code of a small float: sign, exponent, significand.
float value_of(const FloatingPoint& format, unsigned code) {
  using enum FloatingPoint::Special;
  const int m = format.significand_bits, e = format.exponent_bits;
  const unsigned sign = code >> (e + m), magnitude = code & ((1U << (e + m)) - 1);
  const auto field = static_cast<int>(magnitude >> m);
  const unsigned significand = magnitude & ((1U << m) - 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  if (format.special == fnuz && sign == 1 && magnitude == 0) return nan;
  if (format.special == fn && magnitude == (1U << (e + m)) - 1) return nan;
  if (format.special == ieee && field == (1 << e) - 1) {
    if (significand != 0) return nan;
    return sign != 0 ? -std::numeric_limits<float>::infinity()
                     : std::numeric_limits<float>::infinity();
  }
  const unsigned hidden = field == 0 ? 0U : 1U << m;
  const float value =
      std::ldexp(static_cast<float>(hidden | significand), std::max(field, 1) - format.bias() - m);
  return sign != 0 ? -value : value;
}

// A power of two: an exponent alone, all ones NaN.
float power_of(unsigned code) {
  return code == 0xFF ? std::numeric_limits<float>::quiet_NaN()
                      : std::ldexp(1.0F, static_cast<int>(code) - 127);
}

float value_of(DataType type, unsigned code) {
  if (type == DataType::float8e8m0) return power_of(code);
  if (const auto integers = small_integer(type)) {
    const bool is_negative = integers->is_signed && (code >> (integers->bits - 1)) != 0;
    return static_cast<float>(static_cast<int>(code) - (is_negative ? 1 << integers->bits : 0));
  }
  const auto quantizer = make_quantizer(small_float(type));
  return value_of(std::get<FloatingPoint>(*quantizer->format()), code);
}

// Element i of a packed tensor.
unsigned code_at(const onnx::Tensor& tensor, int bits, std::size_t i) {
  if (bits == 16) return tensor.as<std::uint16_t>()[i];
  const std::size_t bit = i * static_cast<std::size_t>(bits);
  const auto byte = static_cast<unsigned>(tensor.bytes[bit / 8]);
  return byte >> (bit % 8) & ((1U << bits) - 1);
}

// The float32 beside x whose last bit is odd, or x itself if it is a float32: what rounds to fewer
// bits from there rounds as x does.
float odd_float(double x) {
  const auto nearest = static_cast<float>(x);
  const auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (std::isnan(x) || nearest == x || (bits & 1) != 0) return nearest;
  return std::bit_cast<float>(std::abs(nearest) < std::abs(x) ? bits + 1 : bits - 1);
}

}  // namespace

at::ScalarType held_type(DataType type) {
  if (!small_float(type).empty() || type == DataType::float8e8m0) return at::kFloat;
  if (const auto integers = small_integer(type)) {
    if (integers->bits == 16) return integers->is_signed ? at::kShort : at::kInt;
    return integers->is_signed ? at::kChar : at::kByte;
  }
  return scalar_type_of(type);
}

at::Tensor decoded(const onnx::Tensor& tensor) {
  const at::Tensor numbers = at::empty(tensor.dims, at::kFloat);
  const int bits = bits_of(tensor.type);
  std::vector<float> values;  // of all codes
  for (unsigned code = 0; code < 1U << bits; ++code) values.push_back(value_of(tensor.type, code));
  auto* out = numbers.data_ptr<float>();
  for (std::size_t i = 0; i < static_cast<std::size_t>(numbers.numel()); ++i) {
    out[i] = values[code_at(tensor, bits, i)];
  }
  return numbers.to(held_type(tensor.type));
}

Codes codes_of(DataType type, bool saturates) {
  if (const auto integers = small_integer(type)) {
    const double count = std::ldexp(1, integers->bits);
    const double lowest = integers->is_signed ? -count / 2 : 0;
    return {type, lowest, lowest + count - 1, nullptr};
  }
  std::string format = small_float(type);
  if (format.empty()) throw Error("codes of type " + name_of(type) + " are not supported");
  if (type != DataType::float4e2m1) {
    const bool has_infinities = type == DataType::float8e5m2;
    format += std::string(",overflow=") + (saturates        ? "saturate"
                                           : has_infinities ? "infinity"
                                                            : "nan");
  }
  return {type, 0, 0, make_quantizer(format)};
}

at::Tensor to_codes(const at::Tensor& t, const at::Tensor& zero_point, const Codes& codes) {
  if (codes.small_float != nullptr) {
    at::Tensor moved = t;
    if (zero_point.defined()) {
      const at::Tensor zero = zero_point.to(t.scalar_type());
      moved = at::where(zero == 0, t, t + zero);  // -0 stays
    }
    return quantize(moved.to(at::kFloat), *codes.small_float);
  }
  at::Tensor code = at::round(t).to(at::kDouble);
  if (zero_point.defined()) code = code + zero_point.to(at::kDouble);
  code = at::where(at::isnan(code), at::scalar_tensor(codes.lowest, at::kDouble), code);
  return at::clamp(code, codes.lowest, codes.highest).to(held_type(codes.type));
}

at::Tensor rounded_to(const at::Tensor& x, at::ScalarType type) {
  if (type != at::kHalf && type != at::kBFloat16) return x.to(type);
  const at::Tensor wide = x.contiguous(), odd = at::empty(x.sizes(), at::kFloat);
  const auto* from = wide.data_ptr<double>();
  auto* to = odd.data_ptr<float>();
  for (std::int64_t i = 0; i < x.numel(); ++i) to[i] = odd_float(from[i]);
  return odd.to(type);
}

}  // namespace tensorquant::onnx_torch
