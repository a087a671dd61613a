#include "tensorquant/report/stored_report.h"

#include <system_error>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"

namespace tensorquant {

Report stored_report(const Store& store, std::string folder) {
  Report report;
  report.store = std::move(folder);
  report.shared = store.shared();
  report.evaluated = evaluated_maps(store);
  if (report.evaluated.maps.empty()) {
    throw Error(report.store + ": the store holds no evaluated map");
  }
  return report;
}

std::string tell_of(Report& report, const std::optional<NamedMaps>& named) {
  if (named) {
    report.map_name = named->name;
    report.map_reason = named->reason;
    return named->maps;
  }
  const EvaluatedMap* const chosen = chosen_map(report.evaluated);
  if (chosen == nullptr) return "";
  report.map_name = chosen->name;
  report.map_reason = "the cheapest of those evaluated on test images";
  return chosen->maps;
}

void add_rules(Report& report, const std::string& maps) {
  if (maps.empty()) return;
  for (PlaceFormat& place : places_in(maps)) report.places.push_back({std::move(place)});
}

std::vector<std::pair<std::string, Override>> compared_maps() {
  std::vector<std::pair<std::string, Override>> maps = {{"float, 32 bits", {}}};
  for (const int bits : {16, 8}) {  // whatever the fraction is
    const std::string quantizer = "\"nearest," + std::to_string(bits) + ",0\"";
    maps.emplace_back("all weights and outputs, " + std::to_string(bits) + " bits",
                      Override::from_json("{\"weights\": {\"\": {\"weight\": " + quantizer +
                                          "}}, \"extrinsic\": " + quantizer + "}"));
  }
  return maps;
}

ChartLibraries chart_libraries(const std::filesystem::path& folder, std::string_view way_out) {
  ChartLibraries libraries;
  for (const char* const name : {"vega.min.js", "vega-lite.min.js", "vega-embed.min.js"}) {
    const std::filesystem::path path = folder / name;
    std::error_code failure;
    if (!std::filesystem::exists(path, failure)) {
      throw Error(path.string() +
                  ": is missing, and charts need it: scripts/setup.sh fetches it from npm; " +
                  std::string(way_out));
    }
    const std::vector<std::byte> bytes = read_file(path);
    libraries.scripts.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return libraries;
}

}  // namespace tensorquant
