#include "tensorquant/cli/range_table.h"

#include <cstdio>
#include <optional>
#include <variant>

#include "tensorquant/base/table.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

std::optional<int> sufficient_bits(const LayerRangeReport& layer) {
  const auto* fixed = std::get_if<FixedPoint>(&layer.arithmetic.accumulator);
  if (fixed == nullptr) return {};
  return layer.report.sufficient_bits(fixed->fraction);
}

std::string share(std::uint64_t part, std::uint64_t all) {
  if (all == 0) return "-";
  if (part == 0) return "0";
  char text[64];
  std::snprintf(text, sizeof text, "%llu (%.2g %%)", static_cast<unsigned long long>(part),
                100.0 * static_cast<double>(part) / static_cast<double>(all));
  return text;
}

std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", x);
  return text;
}

}  // namespace

std::string to_table(const std::vector<LayerRangeReport>& layers) {
  std::vector<std::vector<std::string>> rows;
  for (const LayerRangeReport& layer : layers) {
    const RangeReport& report = layer.report;
    const std::optional<int> bits = sufficient_bits(layer);
    rows.push_back({layer.layer, share(report.clamped_products, report.products),
                    share(report.clamped_sums, report.sums), number(report.largest_product),
                    number(report.lowest_sum) + " .. " + number(report.highest_sum),
                    bits ? std::to_string(*bits) : "-"});
  }
  return format_table({"layer", "products clamped", "sums clamped", "largest product",
                       "running sums", "accumulator bits needed"},
                      rows);
}

ordered_json to_json(const std::vector<LayerRangeReport>& layers) {
  ordered_json rows = ordered_json::array();
  for (const LayerRangeReport& layer : layers) {
    const RangeReport& report = layer.report;
    const std::optional<int> bits = sufficient_bits(layer);
    rows.push_back({{"layer", layer.layer},
                    {"products", report.products},
                    {"clamped_products", report.clamped_products},
                    {"sums", report.sums},
                    {"clamped_sums", report.clamped_sums},
                    {"largest_product", report.largest_product},
                    {"lowest_sum", report.lowest_sum},
                    {"highest_sum", report.highest_sum},
                    {"sufficient_bits", bits ? ordered_json(*bits) : ordered_json(nullptr)}});
  }
  return rows;
}

}  // namespace tensorquant::cli
