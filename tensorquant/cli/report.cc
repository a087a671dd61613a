#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/cost_report.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/models/layer_costs.h"
#include "tensorquant/report/report.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

struct ReportOptions {
  std::string store, output, charts;
  TechnologyOption technology;
  bool tables = false, as_json = false;
};

std::string text_of_file(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

ChartLibraries chart_libraries(const ReportOptions& options) {
  ChartLibraries libraries;
  if (options.tables) return libraries;
  for (const char* const file : {"vega.min.js", "vega-lite.min.js", "vega-embed.min.js"}) {
    libraries.scripts.push_back(text_of_file(std::filesystem::path(options.charts) / file));
  }
  return libraries;
}

const ModelInfo* model_of(const Store& store) {
  const auto shared = nlohmann::json::parse(store.shared());
  const auto name = shared.find("model");
  if (name == shared.end() || !name->is_string()) return nullptr;
  for (const ModelInfo& info : all_models()) {
    if (info.name == *name) return &info;
  }
  return nullptr;
}

void add_costs(Report& report, const ModelInfo& info, const Technology& technology) {
  const std::shared_ptr<ImageClassifier> model = make_model(info);
  report.layers = layer_facts(info, *model);
  report.technology = technology.name + ": " + technology.source;
  const CostFunction cost(report.layers, technology);
  for (EvaluatedMap& map : report.evaluated.maps) {
    if (map.places.size() < 2) continue;
    tensorquant::apply(*model, Override::from_json(map.maps));
    std::vector<LayerFormats> formats = layer_formats(*model, report.layers);
    for (LayerFormats& layer : formats) layer.weights = std::nullopt;  // these weights tell nothing
    map.cost = cost(formats);
  }
}

void run(ReportOptions& options) {
  options.technology.read();
  const Store store(options.store);
  Report report;
  report.store = options.store;
  report.shared = store.shared();
  report.evaluated = evaluated_maps(store);
  if (report.evaluated.maps.empty()) {
    throw Error(options.store + ": the store holds no evaluated map");
  }
  const ChartLibraries libraries = chart_libraries(options);
  AtomicFile file(options.output);
  if (const ModelInfo* const info = model_of(store)) {
    add_costs(report, *info, options.technology.technology());
  }
  file.write(report_html(report, libraries));
  file.commit();
  const std::size_t places = all_places(report).size();
  if (options.as_json) {
    return print({{"output", options.output}, {"maps", report.evaluated.maps.size()}, {"places", places}});
  }
  std::printf("%s: %zu maps, %zu places\n", options.output.c_str(), report.evaluated.maps.size(), places);
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("report", "Write what a store holds as one HTML file, with charts");
  auto options = std::make_shared<ReportOptions>();
  command->add_option("--store", options->store, "Folder of sensitivity and search")->required();
  command->add_option("--output", options->output, "The HTML file")->required();
  options->technology.add_to(*command);
  options->charts = TENSORQUANT_CHARTS;
  command
      ->add_option("--charts", options->charts,
                   "Folder with vega.min.js, vega-lite.min.js and vega-embed.min.js")
      ->capture_default_str();
  command->add_flag("--tables", options->tables, "Without charts: needs none of these files");
  add_json(*command, options->as_json);
  command->callback([options] { run(*options); });
}

}  // namespace tensorquant::cli
