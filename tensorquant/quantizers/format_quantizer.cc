#include "tensorquant/quantizers/format_quantizer.h"

#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <type_traits>
#include <variant>

#include "tensorquant/base/error.h"
#include "tensorquant/base/float_environment.h"
#include "tensorquant/kernels/kernels.h"
#include "tensorquant/quantizers/format_fields.h"
#include "tensorquant/quantizers/format_text.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant {
namespace {

// One size, and one memory or two that do not overlap.
template <class T>
void check_spans(const std::string& spec, std::span<const T> in, std::span<const T> out) {
  if (in.size() != out.size()) {
    throw Error("quantizer '" + spec + "': the input has " + std::to_string(in.size()) +
                " elements, the output " + std::to_string(out.size()));
  }
  const std::less<const T*> before;
  const bool overlap = in.data() != out.data() && before(in.data(), out.data() + out.size()) &&
                       before(out.data(), in.data() + in.size());
  if (overlap) throw Error("quantizer '" + spec + "': input and output overlap in part");
}

template <class T>
const char* type_name() {
  return std::is_same_v<T, float> ? "float32" : "float64";
}

// A string's numbers are doubles: of a format that takes them to the tensor's type, they must be
// finite there, and magnitudes more than zero.
template <class T>
void check_number(const std::string& spec, const char* name, double value, bool may_be_zero) {
  const T rounded = static_cast<T>(value);
  if (std::isfinite(rounded) && (may_be_zero || rounded > 0)) return;
  throw Error("quantizer '" + spec + "': " + name + " = " + shortest_decimal(value) + " is " +
              (rounded > 0 ? "infinite" : "zero") + " in " + type_name<T>());
}

template <class T>
void check_scale(const std::string& spec, double scale) {
  const T rounded = static_cast<T>(scale);
  if (std::isnormal(rounded)) return;
  throw Error("quantizer '" + spec + "': scale = " + shortest_decimal(scale) + " is " +
              (rounded > 1   ? "infinite"
               : rounded > 0 ? "subnormal"
                             : "zero") +
              " in " + type_name<T>());
}

// Visits a format's fields: see format_fields.h.
template <class T>
struct NumberCheck {
  const std::string& spec;

  void argument(const char* name, double value) { check_number<T>(spec, name, value, true); }
  void optional_argument(const char* name, double value) {
    check_number<T>(spec, name, value, false);
  }
  void optional_argument(const char* name, std::optional<double> value) {
    if (value) check_number<T>(spec, name, *value, true);
  }
  // Fields that are no numbers of the tensor's type.
  void argument(const char*, int, int, int) {}
  void optional_argument(const char*, int, int, int, int) {}
  template <class E, std::size_t N>
  void optional_argument(const char*, E, const std::array<Choice<E>, N>&) {}
  void flag(const char*, bool) {}
  void flag_just_when(bool, const char*, bool) {}
  template <class... Field>
  void keyword(const char*, const Field&...) {}
  template <class... Field>
  void keyword_when(bool, const char*, const Field&...) {}
  template <class... Field>
  void shape_keyword(const char*, const Field&...) {}
};

template <class T>
void check_numbers(const std::string& spec, Format format) {
  NumberCheck<T> check{spec};
  if (auto* scaled = std::get_if<Scaled>(&format)) {
    std::visit([&](auto& f) { visit_fields(f, check); }, scaled->element);
    if (scaled->scale.rule == Scale::Rule::number) check_scale<T>(spec, scaled->scale.number);
    return;
  }
  std::visit(
      [&](auto& f) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(f)>, Scaled>) visit_fields(f, check);
      },
      format);
}

// The axes of the context fit, as far as the format looks at them.
void check_layout(const std::string& spec, const Format& format, std::size_t size,
                  const Context& context) {
  const auto* scaled = std::get_if<Scaled>(&format);
  if (scaled == nullptr) return;
  try {
    grouping(scaled->scale, size, context);
  } catch (const Error& error) {
    throw Error("quantizer '" + spec + "': " + error.what());
  }
}

template <class T>
void quantize_checked(const std::string& spec, const Format& format, std::span<const T> in,
                      std::span<T> out, const Context& context) {
  const DefaultFloatEnvironment environment;  // the format's own numbers may be subnormal
  check_spans<T>(spec, in, out);
  check_numbers<T>(spec, format);
  check_layout(spec, format, in.size(), context);
  std::visit([&](const auto& f) { tensorquant::quantize(f, in, out, context); }, format);
}

template <class T>
void clip_checked(const std::string& spec, const Format& format, std::span<const T> x,
                  std::span<const T> dy, std::span<T> dx, const Context& context) {
  const DefaultFloatEnvironment environment;
  check_spans<T>(spec, x, dy);
  check_spans<T>(spec, dy, dx);
  check_numbers<T>(spec, format);
  check_layout(spec, format, x.size(), context);
  if (const auto* scaled = std::get_if<Scaled>(&format)) {
    return clip_gradient(*scaled, x, dy, dx, context);
  }
  std::visit([&](const auto& f) { clip_gradient(bounds<T>(f), x, dy, dx); }, format);
}

}  // namespace

FormatQuantizer::FormatQuantizer(const FormatEntry& entry, const Format& format, Gradient gradient)
    : format_(format), gradient_(gradient) {
  std::map<std::string, std::string> keywords;
  if (gradient == Gradient::clipped) keywords["grad"] = "clipped";
  spec_ = write_format(entry, format, std::move(keywords));
}

void FormatQuantizer::quantize(std::span<const float> in, std::span<float> out,
                               const Context& context) const {
  quantize_checked(spec_, format_, in, out, context);
}

void FormatQuantizer::quantize(std::span<const double> in, std::span<double> out,
                               const Context& context) const {
  quantize_checked(spec_, format_, in, out, context);
}

void FormatQuantizer::gradient(std::span<const float> x, std::span<const float> y,
                               std::span<const float> dy, std::span<float> dx,
                               const Context& context) const {
  if (is_straight_through()) return Quantizer::gradient(x, y, dy, dx);
  clip_checked(spec_, format_, x, dy, dx, context);
}

void FormatQuantizer::gradient(std::span<const double> x, std::span<const double> y,
                               std::span<const double> dy, std::span<double> dx,
                               const Context& context) const {
  if (is_straight_through()) return Quantizer::gradient(x, y, dy, dx);
  clip_checked(spec_, format_, x, dy, dx, context);
}

bool FormatQuantizer::needs_layout() const {
  const auto* scaled = std::get_if<Scaled>(&format_);
  return scaled != nullptr && tensorquant::needs_layout(*scaled);
}

bool FormatQuantizer::is_random() const { return tensorquant::is_random(format_); }

}  // namespace tensorquant
