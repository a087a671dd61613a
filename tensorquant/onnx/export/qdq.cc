#include "tensorquant/onnx/export/qdq.h"

#include <cmath>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx {
namespace {

// A type of integers in files, and the version of the operators that brought it to QuantizeLinear.
struct CodeType {
  DataType type;
  int bits;
  bool is_unsigned;
  std::int64_t version;
};
constexpr CodeType kCodeTypes[] = {
    {DataType::int2, 2, false, 25}, {DataType::uint2, 2, true, 25}, {DataType::int4, 4, false, 21},
    {DataType::uint4, 4, true, 21}, {DataType::i8, 8, false, 10},   {DataType::u8, 8, true, 10},
    {DataType::i16, 16, false, 21}, {DataType::u16, 16, true, 21},
};

// One of just so many bits if there is one, else the next of whole bytes, whose codes the format
// does not use up.
CodeType code_type_of(const FixedPoint& integers, const NodeMaker& maker) {
  for (const CodeType& one : kCodeTypes) {
    const bool fits = one.bits == integers.bits && one.version <= maker.version();
    if (fits && one.is_unsigned == integers.is_unsigned) return one;
  }
  for (const CodeType& one : kCodeTypes) {
    if (one.bits < 8 || one.bits < integers.bits || one.is_unsigned != integers.is_unsigned) {
      continue;
    }
    maker.require(one.version);
    return one;
  }
  throw Error("codes of more than 16 bits have no type in ONNX");
}

std::string clip(NodeMaker& maker, const std::string& x, float lowest, float highest) {
  maker.require(11);
  return maker.add("Clip", {x, maker.constant(lowest), maker.constant(highest)});
}

std::string quantize_and_dequantize(NodeMaker& maker, const std::string& x,
                                    const std::string& scale, const std::string& zero,
                                    std::vector<Attribute> attributes, const FoundScales* found) {
  std::vector<Attribute> axis;
  if (found != nullptr && found->scales.size() != 1) {
    maker.require(13);
    axis.push_back(int_attribute("axis", found->axis));
    attributes.push_back(axis.front());
  }
  const std::string codes = maker.add("QuantizeLinear", {x, scale, zero}, std::move(attributes));
  return maker.add("DequantizeLinear", {codes, scale, zero}, std::move(axis));
}

// Scales of one value for each channel want as many zero points, which are 0.
std::string zero_points(NodeMaker& maker, Tensor zero, const FoundScales* found) {
  if (found != nullptr && found->scales.size() != 1) {
    zero.dims = {static_cast<std::int64_t>(found->scales.size())};
    zero.bytes.assign(byte_count(zero.type, zero.dims).value(), std::byte{0});
  }
  return maker.constant(std::move(zero));
}

std::string add_integers(NodeMaker& maker, const IntegerFormat& format, const std::string& x,
                         const FoundScales* found) {
  const FixedPoint& integers = format.integers;
  if (integers.rounding != Rounding::even) throw Error("QuantizeLinear rounds ties to even");
  if (!integers.saturates()) throw Error("QuantizeLinear saturates");
  const CodeType code = code_type_of(integers, maker);
  std::string limited = x;
  const bool uses_all =
      code.bits == integers.bits && integers.overflow == FixedPoint::Overflow::saturate;
  if (!uses_all) {
    if (found != nullptr) throw Error("of its codes some are not used: 2, 4, 8 or 16 bits are");
    const auto end = [&](double k) {
      return static_cast<float>((k - format.zero) * static_cast<double>(format.scale));
    };
    limited = clip(maker, x, end(integers.lowest_integer()), end(integers.highest_integer()));
  }
  const std::string scale = maker.constant(found != nullptr ? float_tensor(found->scales)
                                                            : float_tensor({&format.scale, 1}));
  const std::string zero = zero_points(maker, code_tensor(code.type, format.zero), found);
  return quantize_and_dequantize(maker, limited, scale, zero, {}, found);
}

// ONNX's type of a floating-point format; undefined if there is none.
DataType float_type_of(const FloatingPoint& format) {
  using Special = FloatingPoint::Special;
  if (format.own_bias != 0 && format.own_bias != format.default_bias()) return DataType::undefined;
  const auto is = [&](int exponent, int significand, Special special) {
    return format.exponent_bits == exponent && format.significand_bits == significand &&
           format.special == special;
  };
  if (is(5, 10, Special::ieee)) return DataType::f16;
  if (is(8, 7, Special::ieee)) return DataType::bf16;
  if (is(4, 3, Special::fn)) return DataType::float8e4m3fn;
  if (is(5, 2, Special::ieee)) return DataType::float8e5m2;
  if (is(4, 3, Special::fnuz)) return DataType::float8e4m3fnuz;
  if (is(5, 2, Special::fnuz)) return DataType::float8e5m2fnuz;
  if (is(2, 1, Special::finite)) return DataType::float4e2m1;
  return DataType::undefined;
}

bool is_float8(DataType type) {
  return type == DataType::float8e4m3fn || type == DataType::float8e5m2 ||
         type == DataType::float8e4m3fnuz || type == DataType::float8e5m2fnuz;
}

std::string add_float(NodeMaker& maker, const FloatingPoint& format, float scale,
                      const std::string& x, const FoundScales* found) {
  const DataType type = float_type_of(format);
  if (type == DataType::undefined) throw Error("ONNX has no such type of floats");
  if (format.rounding != Rounding::even) throw Error("ONNX's floats round ties to even");
  if (format.overflow == FloatingPoint::Overflow::propagate) {
    throw Error("no type of ONNX's saturates and keeps infinities");
  }
  if (type == DataType::f16 || type == DataType::bf16) {
    if (scale != 1 || found != nullptr) throw Error("a type of 16 bits has no scale in ONNX");
    if (type == DataType::bf16) maker.require(13);
    const auto largest = static_cast<float>(format.largest());
    const std::string limited = format.saturates() ? clip(maker, x, -largest, largest) : x;
    const std::string narrow =
        maker.add("Cast", {limited}, {int_attribute("to", static_cast<std::int64_t>(type))});
    return maker.add("Cast", {narrow},
                     {int_attribute("to", static_cast<std::int64_t>(DataType::f32))});
  }
  maker.require(is_float8(type) ? 19 : 23);
  const std::string scales =
      maker.constant(found != nullptr ? float_tensor(found->scales) : float_tensor({&scale, 1}));
  std::vector<Attribute> attributes;
  if (is_float8(type)) attributes.push_back(int_attribute("saturate", format.saturates() ? 1 : 0));
  const std::string zero = zero_points(maker, code_tensor(type, 0), found);
  return quantize_and_dequantize(maker, x, scales, zero, std::move(attributes), found);
}

}  // namespace

std::string add_qdq(NodeMaker& maker, const Format& format, const std::string& x,
                    const FoundScales* found) {
  if (const auto integers = integer_format(format)) return add_integers(maker, *integers, x, found);
  if (const auto* floats = std::get_if<FloatingPoint>(&format)) {
    return add_float(maker, *floats, 1, x, found);
  }
  const auto* scaled = std::get_if<Scaled>(&format);
  if (scaled != nullptr && (found != nullptr || !finds_scales(*scaled))) {
    const auto scale = static_cast<float>(scaled->scale.number);
    if (const auto* floats = std::get_if<FloatingPoint>(&scaled->element)) {
      return add_float(maker, *floats, scale, x, found);
    }
    if (const auto* integers = std::get_if<FixedPoint>(&scaled->element)) {
      return add_integers(maker, {*integers, scale, 0}, x, found);
    }
  }
  throw Error("QuantizeLinear has no such format");
}

}  // namespace tensorquant::onnx
