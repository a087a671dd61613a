#include <cctype>
#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx/export/qdq.h"

namespace tensorquant::onnx {
namespace {

// The integer next to y, as `rounding` says. No sum of y and a half, which is rounded itself: what
// lies between a magnitude and the integer below it is exact.
std::string add_rounding(NodeMaker& maker, Rounding rounding, const std::string& y) {
  const auto to_float = [&](const std::string& truth) {
    return maker.add("Cast", {truth},
                     {int_attribute("to", static_cast<std::int64_t>(DataType::f32))});
  };
  if (rounding == Rounding::even) return maker.add("Round", {y});
  if (rounding == Rounding::down) return maker.add("Floor", {y});
  if (rounding == Rounding::up) return maker.add("Ceil", {y});
  const std::string magnitude = maker.add("Abs", {y}), below = maker.add("Floor", {magnitude});
  // Of the magnitude: the integer below it, and one more where the rest compares so with a half.
  const auto nearest = [&](const char* comparison) {
    const std::string rest = maker.add("Sub", {magnitude, below});
    const std::string up = maker.add(comparison, {rest, maker.constant(0.5F)});
    return maker.add("Add", {below, to_float(up)});
  };
  const auto with_sign = [&](const std::string& k) {
    return maker.add("Mul", {k, maker.add("Sign", {y})});
  };
  const auto by_sign = [&](const std::string& negative, const std::string& positive) {
    const std::string is_negative = maker.add("Less", {y, maker.constant(0)});
    return with_sign(maker.add("Where", {is_negative, negative, positive}));
  };
  switch (rounding) {
    case Rounding::nearest:
      return with_sign(nearest("GreaterOrEqual"));
    case Rounding::nearest_zero:
      return with_sign(nearest("Greater"));
    case Rounding::nearest_up:
      return by_sign(nearest("Greater"), nearest("GreaterOrEqual"));
    case Rounding::nearest_down:
      return by_sign(nearest("GreaterOrEqual"), nearest("Greater"));
    case Rounding::zero:
      return with_sign(below);
    default:
      throw Error("no function of ONNX's operators rounds so");
  }
}

std::string add_integers(NodeMaker& maker, const IntegerFormat& format, const std::string& x) {
  const FixedPoint& integers = format.integers;
  if (!integers.saturates()) throw Error("a function of ONNX's operators only saturates");
  const std::string scale = maker.constant(format.scale);
  const std::string y = maker.add("Div", {x, scale});
  // The ends as floats, cut towards zero as the numbers are, which are integers too.
  const auto end = [&](double k) { return maker.constant(truncate_to<float>(k - format.zero)); };
  const std::string limited =
      maker.add("Clip", {add_rounding(maker, integers.rounding, y), end(integers.lowest_integer()),
                         end(integers.highest_integer())});
  // -0 becomes +0.
  return maker.add("Mul", {maker.add("Add", {limited, maker.constant(0)}), scale});
}

std::string add_body(NodeMaker& maker, const Format& format, const std::string& x) {
  if (const auto integers = integer_format(format)) return add_integers(maker, *integers, x);
  if (const auto* binary = std::get_if<Binary>(&format)) {
    const auto magnitude = static_cast<float>(binary->magnitude);
    const std::string is_positive = maker.add("GreaterOrEqual", {x, maker.constant(0)});
    return maker.add("Where", {is_positive, maker.constant(magnitude), maker.constant(-magnitude)});
  }
  if (const auto* ternary = std::get_if<Ternary>(&format); ternary && ternary->threshold) {
    const auto magnitude = static_cast<float>(ternary->magnitude);
    const auto threshold = static_cast<float>(*ternary->threshold);
    const std::string above = maker.add("Greater", {x, maker.constant(threshold)});
    const std::string below = maker.add("Less", {x, maker.constant(-threshold)});
    const std::string zero = maker.constant(0);
    const std::string negative = maker.add("Where", {below, maker.constant(-magnitude), zero});
    return maker.add("Where", {above, maker.constant(magnitude), negative});
  }
  if (const auto* sparse = std::get_if<Sparse>(&format)) {
    const std::string threshold = maker.constant(static_cast<float>(sparse->threshold));
    const std::string small = maker.add("Less", {maker.add("Abs", {x}), threshold});
    return maker.add("Where", {small, maker.constant(0), x});
  }
  if (std::holds_alternative<FloatingPoint>(format)) return add_qdq(maker, format, x, nullptr);
  throw Error("no function of ONNX's operators says it");
}

}  // namespace

std::string function_name(const std::string& spec) {
  std::string name;
  for (const char c : spec) {
    const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    name += is_plain ? std::string(1, c) : c == '-' ? "minus" : c == '.' ? "p" : "_";
  }
  return name;
}

FunctionProto quantizer_function(const Quantizer& quantizer, std::int64_t version) {
  const Format* format = quantizer.format();
  if (format == nullptr) throw Error("a quantizer of a user's own has no function");
  NodeMaker maker("t", version, NodeMaker::Constants::nodes);
  maker.require(12);
  const std::string y = add_body(maker, *format, "x");
  FunctionProto function;
  function.domain = kFunctionDomain;
  function.name = function_name(quantizer.spec());
  function.inputs = {"x"};
  function.outputs = {y};
  function.nodes = std::move(maker.nodes);
  function.operator_sets = {{"", version}};
  return function;
}

}  // namespace tensorquant::onnx
