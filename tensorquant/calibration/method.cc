#include "tensorquant/calibration/method.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <system_error>

#include "tensorquant/base/error.h"
#include "tensorquant/calibration/percentile.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant {
namespace {

using Kind = CalibrationMethod::Kind;

// In the order of Kind.
const std::array<std::string, 5> kNames = {"minmax", "average", "percentile", "mse", "entropy"};

// What the number of a method is.
struct Number {
  double left_out;
  bool (*is_right)(double);
  const char* wanted;
};

std::optional<Number> number_of(Kind kind) {
  switch (kind) {
    case Kind::average:
      return Number{0.01, [](double c) { return c > 0 && c <= 1; }, "a number c in (0, 1]"};
    case Kind::percentile:
      return Number{99.99, is_percentage, "a number p in (0, 100] with at most 7 decimals"};
    case Kind::minmax:
    case Kind::mse:
    case Kind::entropy:
      break;
  }
  return std::nullopt;
}

[[noreturn]] void fail(std::string_view text, const std::string& reason) {
  throw Error("calibration method '" + std::string(text) + "': " + reason);
}

[[noreturn]] void fail_name(std::string_view text, const std::string& name) {
  const std::string nearest = nearest_name(name, kNames);
  if (!nearest.empty()) fail(text, "unknown name '" + name + "', did you mean '" + nearest + "'?");
  std::string known;
  for (const std::string& one : kNames) {
    known += (known.empty() ? "'" : one == kNames.back() ? " or '" : ", '") + one + "'";
  }
  fail(text, "expected " + known + ", found '" + name + "'");
}

double parse_number(std::string_view text, std::string_view digits, const Number& number) {
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc() && end == digits.data() + digits.size() && number.is_right(value)) {
    return value;
  }
  fail(text, "expected " + std::string(number.wanted) + ", found '" + std::string(digits) + "'");
}

}  // namespace

CalibrationMethod make_calibration_method(std::string_view text) {
  const std::string lower = lower_case(text);
  const std::size_t equals = lower.find('=');
  const std::string name = lower.substr(0, equals);
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) fail_name(text, name);
  const auto kind = static_cast<Kind>(found - kNames.begin());
  const std::optional<Number> number = number_of(kind);
  if (equals == std::string::npos) return {kind, number ? number->left_out : 0};
  if (!number) fail(text, "'" + name + "' takes no number");
  return {kind, parse_number(text, std::string_view(lower).substr(equals + 1), *number)};
}

std::string to_string(const CalibrationMethod& method) {
  const std::string& name = kNames[static_cast<std::size_t>(method.kind)];
  return number_of(method.kind) ? name + "=" + shortest_decimal(method.number) : name;
}

std::span<const std::string> calibration_method_names() { return kNames; }

}  // namespace tensorquant
