#include "tensorquant/cli/cost_report.h"

#include <cstdio>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/cli/json_report.h"

namespace tensorquant::cli {

void TechnologyOption::add_to(CLI::App& command) {
  std::string names;
  for (const Technology& one : all_technologies()) names += one.name + ", ";
  command
      .add_option("--technology", name_,
                  "Energies of operations: " + names + "or a JSON file with a table of your own")
      ->capture_default_str();
}

void TechnologyOption::read() {
  for (const Technology& one : all_technologies()) {
    if (one.name != name_) continue;
    technology_ = one;
    return;
  }
  const std::vector<std::byte> bytes = read_file(name_);
  technology_ =
      technology_from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name_);
}

nlohmann::ordered_json to_json(const MapCost& cost) {
  return {{"bits", cost.bits},
          {"peak", cost.peak},
          {"traffic", cost.traffic},
          {"bops", cost.bops},
          {"bops_without_zeros", or_null(cost.bops_without_zeros)},
          {"ebops", or_null(cost.ebops)},
          {"energy", cost.energy}};
}

std::map<std::string, int> read_sufficient_bits(const std::string& path) {
  std::map<std::string, int> bits;
  if (path.empty()) return bits;
  const std::vector<std::byte> bytes = read_file(path);
  try {
    const auto report = nlohmann::json::parse(
        std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    for (const auto& layer : report.at("ranges")) {
      const nlohmann::json& sufficient = layer.at("sufficient_bits");
      if (!sufficient.is_null()) bits[layer.at("layer").get<std::string>()] = sufficient.get<int>();
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error(path + ": no report of evaluate --ranges --json: " + error.what());
  }
  return bits;
}

std::string percent_of(double part, double all) {
  if (all == 0) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * part / all);
  return text;
}

}  // namespace tensorquant::cli
