#include "tensorquant/search/logit_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

// Logits less the logarithm of the sum of their exponentials.
std::vector<double> log_softmax(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - largest);
  std::vector<double> result;
  for (const float x : logits) result.push_back(x - largest - std::log(sum));
  return result;
}

// NaN is the largest, as in the argmax of PyTorch and NumPy.
std::int64_t largest_of(std::span<const float> logits) {
  const auto is_less = [](float a, float b) { return a < b || (std::isnan(b) && !std::isnan(a)); };
  return std::max_element(logits.begin(), logits.end(), is_less) - logits.begin();
}

double divergence(std::span<const float> float_logits, std::span<const float> logits) {
  const std::vector<double> p0 = log_softmax(float_logits), p = log_softmax(logits);
  double sum = 0;
  for (std::size_t c = 0; c < p.size(); ++c) sum += std::exp(p0[c]) * (p0[c] - p[c]);
  return sum;
}

}  // namespace

double LogitMetrics::loss() const {
  return (static_cast<double>(lost) - static_cast<double>(won)) / static_cast<double>(images);
}

double LogitMetrics::loss_error() const {
  const auto b = static_cast<double>(lost), c = static_cast<double>(won);
  const auto n = static_cast<double>(images);
  return std::sqrt(b + c - (b - c) * (b - c) / n) / n;
}

LogitMetrics compare_logits(std::span<const float> float_logits, std::span<const float> logits,
                            std::size_t classes, std::span<const std::int64_t> labels) {
  if (labels.empty() || classes == 0 || float_logits.size() != labels.size() * classes ||
      logits.size() != float_logits.size()) {
    throw Error("logits must be " + std::to_string(labels.size()) + " x " +
                std::to_string(classes) + " numbers, an image at least");
  }
  LogitMetrics metrics;
  metrics.images = labels.size();
  double kl = 0, error = 0, power = 0;
  for (std::size_t image = 0; image < labels.size(); ++image) {
    const auto before = float_logits.subspan(image * classes, classes);
    const auto after = logits.subspan(image * classes, classes);
    kl += divergence(before, after);
    double own_error = 0, own_power = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      const double difference = static_cast<double>(after[c]) - before[c];
      own_error += difference * difference;
      own_power += static_cast<double>(before[c]) * before[c];
    }
    error += own_error;
    power += own_power;
    const std::int64_t was = largest_of(before), is = largest_of(after);
    metrics.flips += was != is ? 1 : 0;
    metrics.correct += is == labels[image] ? 1 : 0;
    metrics.lost += was == labels[image] && is != was ? 1 : 0;
    metrics.won += is == labels[image] && is != was ? 1 : 0;
  }
  metrics.kl = kl / static_cast<double>(metrics.images);
  metrics.logit_error = error / power;
  return metrics;
}

LogitMetrics logit_metrics_in(std::string_view record) {
  try {
    const auto json = nlohmann::json::parse(record);
    const auto number = [&](const char* name) {  // JSON has no infinity
      return json.at(name).is_null() ? std::numeric_limits<double>::infinity()
                                     : json.at(name).get<double>();
    };
    LogitMetrics metrics;
    metrics.images = json.at("images");
    metrics.correct = json.at("correct");
    metrics.kl = number("kl");
    metrics.logit_error = number("logit_error");
    metrics.flips = json.at("flips");
    metrics.lost = json.at("lost");
    metrics.won = json.at("won");
    return metrics;
  } catch (const nlohmann::json::exception& error) {
    throw Error(error.what());
  }
}

}  // namespace tensorquant
