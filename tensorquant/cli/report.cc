#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/cost_report.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/report_model.h"
#include "tensorquant/report/stored_report.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr std::size_t kReportImages = 256;

struct ReportOptions {
  std::string store, output, charts, maps, checkpoint, ranges;
  DataOptions data;
  TechnologyOption technology;
  bool tables = false, as_json = false;
};

// Beside an installed program, else where scripts/setup.sh puts them.
fs::path charts_folder() {
  std::error_code failure;
  const fs::path program = fs::read_symlink("/proc/self/exe", failure);
  const fs::path installed = program.parent_path().parent_path() / "share/tensorquant/charts";
  return !failure && fs::exists(installed, failure) ? installed : fs::path(TENSORQUANT_CHARTS);
}

std::optional<NamedMaps> named_maps(const ReportOptions& options) {
  if (options.maps.empty()) return std::nullopt;
  return NamedMaps{options.maps, "named by --maps", Override::from_file(options.maps).to_json()};
}

Report read_report(ReportOptions& options, const Store& store) {
  Report report = stored_report(store, options.store);
  const std::optional<ModelSource> source = model_of(store, options.checkpoint);
  if (!source && !(options.checkpoint.empty() && options.ranges.empty())) {
    throw unknown_model(options.store, store);
  }
  const std::optional<NamedMaps> named = named_maps(options);
  if (!source) {
    add_rules(report, tell_of(report, named));
    return report;
  }
  const std::map<std::string, int> seen = read_sufficient_bits(options.ranges);
  ReportedModel model(*source, store, options.data.path, options.technology.technology());
  model.add_costs(report);
  const std::string maps = tell_of(report, named);
  if (maps.empty()) return report;
  model.add_map(report, maps, seen);
  model.add_values(report, options.data);
  return report;
}

void run(ReportOptions& options) {
  options.technology.read();
  const Store store(options.store);
  const ChartLibraries libraries =
      options.tables
          ? ChartLibraries()
          : chart_libraries(options.charts.empty() ? charts_folder() : fs::path(options.charts),
                            "with --tables a report does without charts");
  AtomicFile file(options.output);
  const Report report = read_report(options, store);
  file.write(report_html(report, libraries));
  file.commit();
  const std::size_t maps = report.evaluated.maps.size(), places = all_places(report).size();
  if (options.as_json) {
    return print(
        {{"output", options.output},
         {"maps", maps},
         {"places", places},
         {"map", report.map_name.empty() ? ordered_json() : ordered_json(report.map_name)}});
  }
  std::printf("%s: %zu maps, %zu places\n", options.output.c_str(), maps, places);
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("report", "Write what a store holds as one HTML file, with charts");
  command->footer("The file needs no network. See docs/how_many_bits.md.\n");
  auto options = std::make_shared<ReportOptions>();
  command->add_option("--store", options->store, "Folder of results, of sensitivity and search")
      ->required();
  command->add_option("--output", options->output, "The HTML file")->required();
  command->add_option(
      "--maps", options->maps,
      "File with the map that is told of place by place; else the cheapest of those "
      "evaluated on test images");
  CLI::Option* const checkpoint =
      command->add_option("--checkpoint", options->checkpoint,
                          "The store's weights, a safetensors file or its ONNX file, to tell what "
                          "tensors hold and what becomes of them");
  options->data.limit = kReportImages;
  options->data.add_to(*command, "train-*", {"--data", "--images"})->needs(checkpoint);
  command->get_option("--images")->capture_default_str()->needs(checkpoint);
  command->add_option("--ranges", options->ranges,
                      "A report of evaluate --ranges --json, for the accumulator bits seen");
  options->technology.add_to(*command);
  CLI::Option* const charts = command->add_option(
      "--charts", options->charts,
      "Folder with vega.min.js, vega-lite.min.js and vega-embed.min.js, in place of "
      "those that scripts/setup.sh fetches");
  command->add_flag("--tables", options->tables, "No charts: none of these files is needed")
      ->excludes(charts);
  add_json(*command, options->as_json);
  command->callback([options] { run(*options); });
}

}  // namespace tensorquant::cli
