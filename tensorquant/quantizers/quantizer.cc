#include "tensorquant/quantizers/quantizer.h"

#include <algorithm>
#include <variant>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

template <class T>
void copy_gradient(const std::string& spec, std::span<const T> dy, std::span<T> dx) {
  if (dy.size() != dx.size()) {
    throw Error("quantizer '" + spec + "': the output's gradient has " + std::to_string(dy.size()) +
                " elements, the input's " + std::to_string(dx.size()));
  }
  if (dy.data() != dx.data()) std::copy(dy.begin(), dy.end(), dx.begin());
}

}  // namespace

void Quantizer::quantize(std::span<const double>, std::span<double>, const Context&) const {
  throw Error("quantizer '" + spec() + "' has no float64 version");
}

void Quantizer::gradient(std::span<const float>, std::span<const float>, std::span<const float> dy,
                         std::span<float> dx) const {
  copy_gradient(spec(), dy, dx);
}

void Quantizer::gradient(std::span<const double>, std::span<const double>,
                         std::span<const double> dy, std::span<double> dx) const {
  copy_gradient(spec(), dy, dx);
}

void Quantizer::gradient(std::span<const float> x, std::span<const float> y,
                         std::span<const float> dy, std::span<float> dx, const Context&) const {
  gradient(x, y, dy, dx);
}

void Quantizer::gradient(std::span<const double> x, std::span<const double> y,
                         std::span<const double> dy, std::span<double> dx, const Context&) const {
  gradient(x, y, dy, dx);
}

const Scaled* scaled_format(const Quantizer& quantizer) {
  return quantizer.format() == nullptr ? nullptr : std::get_if<Scaled>(quantizer.format());
}

bool is_elementwise(const Quantizer& quantizer) {
  return quantizer.format() != nullptr && is_elementwise(*quantizer.format());
}

bool is_idempotent(const Quantizer& quantizer) {
  if (!is_elementwise(quantizer)) return false;
  const Format& format = *quantizer.format();
  if (const auto* powers = std::get_if<Logarithmic>(&format)) {
    return powers->rounding != Logarithmic::Rounding::down || powers->fraction == 0;
  }
  return !std::holds_alternative<Scaled>(format);
}

bool has_elementwise_gradient(const Quantizer& quantizer) {
  if (quantizer.format() == nullptr) return false;
  const Scaled* const scaled = scaled_format(quantizer);
  return scaled == nullptr || quantizer.is_straight_through() || !finds_scales(*scaled);
}

}  // namespace tensorquant
