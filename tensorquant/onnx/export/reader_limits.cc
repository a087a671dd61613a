#include "tensorquant/onnx/export/reader_limits.h"

#include <cmath>

namespace tensorquant::onnx {
namespace {

bool is_power_of_two(float x) {
  int exponent = 0;
  return std::frexp(x, &exponent) == 0.5F;
}

}  // namespace

std::vector<std::string> limits_of(ExportOptions::Reader reader, const Quantizer& quantizer,
                                   const std::string& op_type) {
  using Reader = ExportOptions::Reader;
  std::vector<std::string> found;
  if (reader == Reader::any || quantizer.format() == nullptr) return found;
  const std::string name = reader == Reader::hls4ml ? "hls4ml" : "FINN";
  const std::string quoted = "'" + quantizer.spec() + "'";
  const auto integers = integer_format(*quantizer.format());
  if (!integers) {
    const bool is_binary = std::holds_alternative<Binary>(*quantizer.format());
    if (!is_binary) found.push_back(name + " takes integers times a scale alone, not " + quoted);
    return found;
  }
  const Rounding rounding = integers->integers.rounding;
  if (reader == Reader::hls4ml) {
    if (rounding != Rounding::even && rounding != Rounding::down) {
      found.push_back("hls4ml rounds ties to even, or downwards, not as " + quoted);
    }
    if (!is_power_of_two(integers->scale)) {
      found.push_back("hls4ml wants a scale that is a power of two, not that of " + quoted);
    }
    return found;
  }
  if (rounding == Rounding::even) {
    found.push_back("FINN turns " + quoted + " into thresholds that count ties upwards");
  }
  if (op_type == "Relu" && !integers->integers.is_unsigned) {
    found.push_back("FINN wants unsigned numbers behind a Relu, not " + quoted);
  }
  return found;
}

}  // namespace tensorquant::onnx
