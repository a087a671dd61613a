#include "tensorquant/search/tensor_fit.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <variant>

namespace tensorquant {
namespace {

constexpr int kFiner = 3, kFinest = 64;

std::vector<float> quantized(const Quantizer& quantizer, std::span<const float> x,
                             const Context& context) {
  std::vector<float> y(x.size());
  quantizer.quantize(x, y, context);
  return y;
}

double squared_error(std::span<const float> x, std::span<const float> y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = static_cast<double>(y[i]) - x[i];
    sum += difference * difference;
  }
  return sum;
}

}  // namespace

double squared_error(const Quantizer& quantizer, std::span<const float> x, const Context& context) {
  return squared_error(x, quantized(quantizer, x, context));
}

std::vector<std::shared_ptr<const Quantizer>> fixed_point_candidates(int bits,
                                                                     const ValueRange& range) {
  const int cover = fraction_for(bits, range);
  std::vector<std::shared_ptr<const Quantizer>> candidates;
  for (int fraction = cover; fraction <= std::min(cover + kFiner, kFinest); ++fraction) {
    candidates.push_back(
        make_quantizer("nearest," + std::to_string(bits) + "," + std::to_string(fraction)));
  }
  return candidates;
}

void TensorFit::add(const Quantizer& quantizer, std::span<const float> x, const Context& context) {
  const std::vector<float> y = quantized(quantizer, x, context);
  error += squared_error(x, y);
  double own_power = 0;
  for (const float value : x) own_power += static_cast<double>(value) * value;
  power += own_power;
  for (const float value : y) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  const QuantizerReport report = report_of(quantizer, x, context);
  if (counts.values == 0) {
    counts = report;
  } else {
    counts.merge(report);
  }
}

std::optional<double> TensorFit::noise() const {
  return power > 0 ? std::optional(error / power) : std::nullopt;
}

std::optional<double> TensorFit::sqnr() const {
  if (!(error > 0) || !(power > 0)) return std::nullopt;
  return -10 * std::log10(error / power);
}

std::optional<int> TensorFit::idle_bits(const Quantizer& quantizer) const {
  if (quantizer.format() == nullptr || !(largest > 0)) return std::nullopt;
  const double bound = std::visit([](const auto& f) -> double { return bounds<float>(f).highest; },
                                  *quantizer.format());
  if (!std::isfinite(bound) || scaled_format(quantizer) != nullptr) return std::nullopt;
  return std::max(0, static_cast<int>(std::floor(std::log2(bound / largest))));
}

}  // namespace tensorquant
