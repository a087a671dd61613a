// Calibration methods, and what they find in numbers: a first line of text, then float32. What
// parses has a text that means the same; whatever the numbers, what is found lies within their
// ends.

#include <cmath>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "fuzz/input.h"
#include "tensorquant/calibration/calibrator.h"

using namespace tensorquant;

namespace {

void calibrate(const CalibrationMethod& method, std::span<const float> values) {
  const auto element = make_quantizer("even,4,0");
  Calibrator calibrator(method);
  for (int pass = 0; pass < method.passes(); ++pass) {
    if (pass > 0) calibrator.begin_second_pass();
    const std::size_t half = values.size() / 2;
    calibrator.observe(values.first(half));
    calibrator.end_batch();
    calibrator.observe(values.subspan(half));
  }
  const Summary& summary = calibrator.summary();
  const float amax = calibrator.amax(*element, "x");
  // An average may be a last bit of a double beyond them.
  if (method.kind == CalibrationMethod::Kind::average) return;
  require(amax >= 0 && amax <= summary.amax(), "an amax is none beyond the numbers");
  if (!method.finds_range()) return;
  const ValueRange range = calibrator.range("x");
  require(range.low <= range.high, "a range has an order");
  require(range.low >= summary.lowest && range.high <= summary.highest,
          "a range lies within the numbers");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  only_errors([&] {
    const Input input(data, size);
    const std::string_view text = input.text().substr(0, input.text().find('\n'));
    const CalibrationMethod method = make_calibration_method(text);
    require(make_calibration_method(to_string(method)) == method, "the text is the same method");
    std::vector<float> values((size - std::min(size, text.size() + 1)) / sizeof(float));
    if (values.empty()) return;
    std::memcpy(values.data(), data + text.size() + 1, values.size() * sizeof(float));
    calibrate(method, values);
  });
  return 0;
}
