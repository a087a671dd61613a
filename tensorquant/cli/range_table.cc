#include "tensorquant/cli/range_table.h"

#include <cstdio>
#include <optional>
#include <utility>
#include <variant>

#include "tensorquant/base/table.h"
#include "tensorquant/cli/json_report.h"

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

// Behind what the row begins with.
std::vector<std::string> with_place(std::vector<std::string> row, const PlaceReport& place) {
  const QuantizerReport& r = place.report;
  row.insert(row.end(),
             {place.place, place.quantizer->spec(), r.storage ? to_string(*r.storage) : "-",
              std::to_string(r.values), saturated_text(r), became_zero_text(r),
              r.values > 0 ? number(r.lowest) + " .. " + number(r.highest) : "-"});
  return row;
}

const std::vector<std::string> kPlaceColumns = {
    "place", "quantizer", "bits a value", "values", "saturated", "became zero", "range"};

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

ordered_json to_json(const std::vector<LayerKernelUse>& layers) {
  ordered_json rows = ordered_json::array();
  for (const LayerKernelUse& layer : layers) {
    rows.push_back({{"layer", layer.layer},
                    {"kernel", to_string(layer.use.plan.kernel)},
                    {"reason", layer.use.plan.reason},
                    {"calls", layer.use.calls}});
  }
  return rows;
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

std::string saturated_text(const QuantizerReport& report) {
  return report.saturated ? share(*report.saturated, report.values) : "-";
}

std::string became_zero_text(const QuantizerReport& report) {
  return share(report.became_zero, report.nonzero);
}

std::string to_table(const std::vector<LayerPlaceReport>& places) {
  std::vector<std::string> columns = {"layer"};
  columns.insert(columns.end(), kPlaceColumns.begin(), kPlaceColumns.end());
  std::vector<std::vector<std::string>> rows;
  for (const auto& [layer, place] : places) rows.push_back(with_place({layer}, place));
  return format_table(columns, rows);
}

std::string to_table(const std::vector<PlaceReport>& places) {
  std::vector<std::vector<std::string>> rows;
  for (const PlaceReport& place : places) rows.push_back(with_place({}, place));
  return format_table(kPlaceColumns, rows);
}

ordered_json to_json(const PlaceReport& place) {
  const QuantizerReport& r = place.report;
  using Bits = std::optional<int>;
  const auto extreme = [&r](double x) { return r.values > 0 ? ordered_json(x) : ordered_json(); };
  return {{"place", place.place},
          {"quantizer", place.quantizer->spec()},
          {"bits", or_null(r.storage ? Bits(r.storage->value_bits) : Bits())},
          {"scale_bits", or_null(r.storage ? Bits(r.storage->scale_bits) : Bits())},
          {"bits_per_value", or_null(r.storage ? r.storage->bits_per_value() : std::nullopt)},
          {"values", r.values},
          {"saturated", or_null(r.saturated)},
          {"saturated_share", or_null(r.saturated_share())},
          {"nonzero", r.nonzero},
          {"became_zero", r.became_zero},
          {"became_zero_share", or_null(r.became_zero_share())},
          {"lowest", extreme(r.lowest)},
          {"highest", extreme(r.highest)}};
}

ordered_json to_json(const std::vector<LayerPlaceReport>& places) {
  ordered_json rows = ordered_json::array();
  for (const auto& [layer, place] : places) {
    ordered_json row = {{"layer", layer}};
    row.update(to_json(place));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace tensorquant::cli
