// The first page: what was evaluated, and in short what came out.
#include <cmath>
#include <nlohmann/json.hpp>

#include "tensorquant/base/error.h"
#include "tensorquant/report/html.h"
#include "tensorquant/report/image_sets.h"
#include "tensorquant/report/sections.h"

namespace tensorquant {
namespace {

std::string tile(const std::string& number, const std::string& what) {
  return "<div class=\"tile\"><b>" + escaped(number) + "</b><span>" + escaped(what) +
         "</span></div>\n";
}

std::string plus_minus(double share, double error) {
  return percent(share, 2) + " ± " + percent(error, 2);
}

HtmlTable settings_table(const Report& report) {
  HtmlTable table("settings", {"setting", "value"});
  table.add({"store", one_line(report.store)});
  const auto shared = nlohmann::json::parse(report.shared);
  for (const auto& [name, value] : shared.items()) {
    table.add(
        {one_line(name), one_line(value.is_string() ? value.get<std::string>() : value.dump())});
  }
  return table;
}

HtmlTable sets_table(const std::vector<ImageSet>& sets) {
  HtmlTable table("images",
                  {"images are for", "images", "fingerprint", "maps evaluated", "float accuracy"});
  for (const ImageSet& set : sets) {
    table.add({one_line(set.purpose.empty() ? "evaluation" : set.purpose),
               HtmlCell(std::to_string(set.images), static_cast<double>(set.images)),
               one_line(set.data),
               HtmlCell(std::to_string(set.maps.size()), static_cast<double>(set.maps.size())),
               HtmlCell(percent(set.float_accuracy, 2), set.float_accuracy)});
  }
  return table;
}

HtmlTable cost_table(const Report& report) {
  HtmlTable table("costs", {"map", "BOPs", "bits of parameters", "traffic (bits)", "energy (µJ)"});
  const auto add = [&](const std::string& name, const MapCost& cost) {
    table.add({name, HtmlCell(with_prefix(cost.bops), cost.bops),
               HtmlCell(with_prefix(cost.bits), cost.bits),
               HtmlCell(with_prefix(cost.traffic), cost.traffic),
               HtmlCell(short_number(cost.energy / 1e6), cost.energy)});
  };
  if (report.cost) add(report.map_name, *report.cost);
  for (const auto& [name, cost] : report.comparisons) add(name, cost);
  return table;
}

}  // namespace

void add_head(Page& page, const Report& report) {
  page.section("What was evaluated");
  const std::vector<ImageSet> sets = image_sets(report.evaluated.maps);
  std::string tiles = "<div class=\"tiles\">\n";
  tiles += tile(std::to_string(report.evaluated.maps.size()), "maps evaluated");
  tiles += tile(std::to_string(all_places(report).size()), "places");
  for (const EvaluatedMap& map : report.evaluated.maps) {
    if (map.name != report.map_name) continue;
    const double accuracy = map.accuracy();
    const double variance = accuracy * (1 - accuracy) / static_cast<double>(map.metrics.images);
    tiles += tile(plus_minus(accuracy, 2 * std::sqrt(variance)), "accuracy of the map told of");
    tiles +=
        tile(plus_minus(map.metrics.loss(), 2 * map.metrics.loss_error()), "loss against float");
  }
  page.html(tiles + "</div>\n");
  page.html("<div class=\"tiles\">" + settings_table(report).html() + sets_table(sets).html() +
            "</div>\n");
  const std::size_t no_accuracy = report.evaluated.failed.size() + report.evaluated.others;
  if (no_accuracy != 0) {
    page.missing(
        std::to_string(no_accuracy) +
        " records of the store tell no accuracy, such as errors of evaluations, and are left out.");
  }
  const HtmlTable costs = cost_table(report);
  if (costs.empty()) {
    page.missing(
        "Costs are not told: the store's model is none of those that come with the program.");
  } else {
    page.html(costs.html());
    page.paragraph("Costs of one image. Energy after " + report.technology +
                   ": an order of magnitude to rank maps by, not a chip's energy.");
  }
}

}  // namespace tensorquant
