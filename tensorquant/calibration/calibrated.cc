#include "tensorquant/calibration/calibrated.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>

#include "tensorquant/base/error.h"
#include "tensorquant/formats/scaled.h"
#include "tensorquant/quantizers/format_text.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant {
namespace {

bool wants_range(const Scaled& format) { return format.scale.rule == Scale::Rule::range; }

std::shared_ptr<const Quantizer> element_of(const Scaled& format) {
  return make_quantizer(element_spec(format.element));
}

// The fewest decimals that read back as the same float32, through a double as quantizer strings are
// read.
std::string number_text(float x) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, x);
  const std::string shortest(text, end);
  double read = 0;
  std::from_chars(text, end, read);
  return error == std::errc() && static_cast<float>(read) == x
             ? shortest
             : shortest_decimal(static_cast<double>(x));
}

// The string without what it says of its scale.
std::string without_scale(const std::string& spec) {
  std::string result;
  for (std::size_t begin = 0; begin <= spec.size();) {
    const std::size_t end = std::min(spec.find(',', begin), spec.size());
    const std::string_view part = std::string_view(spec).substr(begin, end - begin);
    const bool is_scale = part.starts_with("scale=") || part.starts_with("per=");
    if (!is_scale) result.append(result.empty() ? "" : ",").append(part);
    begin = end + 1;
  }
  return result;
}

}  // namespace

bool can_be_calibrated(const Quantizer& quantizer) {
  const Scaled* const scaled = scaled_format(quantizer);
  if (scaled == nullptr || !finds_scales(*scaled)) return false;
  return scaled->scale.per == Scale::Per::tensor && scaled->scale.rule != Scale::Rule::mean;
}

void check_calibration(const CalibrationMethod& method, const Quantizer& quantizer,
                       const std::string& what) {
  const Scaled& format = *scaled_format(quantizer);
  if (!wants_range(format)) return check_element(method, *element_of(format), what);
  if (method.finds_range()) return;
  throw Error(what + ": '" + quantizer.spec() + "' wants both ends of a range, and '" +
              to_string(method) + "' finds a magnitude; take minmax, average or percentile");
}

std::shared_ptr<const Quantizer> calibrated(const Quantizer& quantizer,
                                            const Calibrator& calibrator, const std::string& what) {
  const Scaled& format = *scaled_format(quantizer);
  std::optional<Scale> scale;
  if (wants_range(format)) {
    const ValueRange range = calibrator.range(what);
    scale = given_scale(format, static_cast<float>(range.low), static_cast<float>(range.high));
  } else {
    const float amax = calibrator.amax(*element_of(format), what);
    scale = given_scale(format, -amax, amax);
  }
  if (!scale) return nullptr;
  std::string spec = without_scale(quantizer.spec());
  spec += ",scale=" + number_text(static_cast<float>(scale->number));
  if (scale->zero != 0) spec += ",zero=" + std::to_string(scale->zero);
  return make_quantizer(spec);
}

}  // namespace tensorquant
