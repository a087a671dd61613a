#ifndef TENSORQUANT_REPORT_STORED_REPORT_H_
#define TENSORQUANT_REPORT_STORED_REPORT_H_

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensorquant/maps/override.h"
#include "tensorquant/report/report.h"

namespace tensorquant {

// All that the store itself tells; `folder` is its name. Throws an Error where it holds no
// evaluated map.
Report stored_report(const Store& store, std::string folder);

// A map that the report is to tell of place by place, and why that one.
struct NamedMaps {
  std::string name, reason;
  std::string maps;  // JSON
};
// Tells of this map, or of chosen_map(). Returns it as JSON, "" where there is none.
std::string tell_of(Report& report, const std::optional<NamedMaps>& named);

// The places of a model of which nothing is known: the rules of the maps.
void add_rules(Report& report, const std::string& maps);

// Maps that a report's costs stand beside: float, and one width everywhere.
std::vector<std::pair<std::string, Override>> compared_maps();

// Vega, Vega-Lite and Vega-Embed from a folder. An Error names the file that is missing, and ends
// in `way_out`: how to do without charts.
ChartLibraries chart_libraries(const std::filesystem::path& folder, std::string_view way_out);

}  // namespace tensorquant

#endif  // TENSORQUANT_REPORT_STORED_REPORT_H_
