// What a store holds as one HTML file.

#include "tensorquant/report/report.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "python/src/bindings.h"
#include "python/src/technology_named.h"
#include "tensorquant/base/atomic_file.h"
#include "tensorquant/report/counted_layers.h"
#include "tensorquant/report/stored_report.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tensorquant::python {
namespace {

// Name, reason and JSON of the map that is told of.
using NamedTuple = std::tuple<std::string, std::string, std::string>;

Report report_of(const std::string& folder, std::vector<LayerFacts> facts,
                 const std::string& technology, const std::optional<NamedTuple>& named) {
  const Store store(folder);
  Report report = stored_report(store, folder);
  std::optional<NamedMaps> told;
  if (named) told = std::make_from_tuple<NamedMaps>(*named);
  if (facts.empty()) {
    add_rules(report, tell_of(report, told));
    return report;
  }
  const CountedLayers layers(std::move(facts), technology_named(technology));
  layers.add_costs(report);
  const std::string maps = tell_of(report, told);
  if (!maps.empty()) layers.add_map(report, maps);
  return report;
}

}  // namespace

void bind_report(nb::module_& module) {
  module.def(
      "write_report",
      [](const std::string& folder, const std::string& output, std::vector<LayerFacts> facts,
         const std::string& technology, const std::optional<NamedTuple>& named,
         const std::optional<std::string>& charts) {
        ChartLibraries libraries;
        if (charts) {
          libraries = chart_libraries(*charts, "with tables=True a report does without charts");
        }
        const Report report = report_of(folder, std::move(facts), technology, named);
        AtomicFile file(output);
        file.write(report_html(report, libraries));
        file.commit();
      },
      "store"_a, "output"_a, "facts"_a, "technology"_a, "maps"_a.none(), "charts"_a.none(),
      nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace tensorquant::python
