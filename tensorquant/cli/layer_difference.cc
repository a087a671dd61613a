#include "tensorquant/cli/layer_difference.h"

#include <cmath>
#include <cstdio>
#include <utility>

#include "tensorquant/base/table.h"

namespace tensorquant::cli {
namespace {

std::string decimal(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", x);
  return text;
}

}  // namespace

template <class T>
LayerDifference difference_of(std::string layer, std::span<const T> a, std::span<const T> b) {
  LayerDifference d{std::move(layer), a.size()};
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    signal += static_cast<double>(a[i]) * a[i];
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    ++d.differing;
    const double error = std::abs(static_cast<double>(b[i]) - a[i]);
    noise += error * error;
    // A NaN stays the largest.
    if (!(error <= d.largest_error) && !std::isnan(d.largest_error)) d.largest_error = error;
  }
  if (noise != 0) d.sqnr_db = 10 * std::log10(signal / noise);
  return d;
}

template LayerDifference difference_of(std::string, std::span<const float>, std::span<const float>);
template LayerDifference difference_of(std::string, std::span<const double>,
                                       std::span<const double>);

std::string to_table(const std::vector<LayerDifference>& differences) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(differences.size());
  for (const LayerDifference& d : differences) {
    rows.push_back({d.layer, std::to_string(d.elements), std::to_string(d.differing),
                    decimal(d.largest_error), d.sqnr_db ? decimal(*d.sqnr_db) : "-"});
  }
  return format_table({"LAYER", "ELEMENTS", "DIFFERING", "LARGEST ERROR", "SQNR dB"}, rows);
}

nlohmann::ordered_json to_json(const std::vector<LayerDifference>& differences) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerDifference& d : differences) {
    layers.push_back({{"layer", d.layer},
                      {"elements", d.elements},
                      {"differing", d.differing},
                      {"largest_error", d.largest_error},
                      {"sqnr_db", d.sqnr_db ? nlohmann::ordered_json(*d.sqnr_db)
                                            : nlohmann::ordered_json(nullptr)}});
  }
  return layers;
}

}  // namespace tensorquant::cli
