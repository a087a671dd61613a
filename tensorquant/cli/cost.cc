#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/cost_report.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/searched_model.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/models/layer_costs.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

struct CostOptions {
  ModelSource source;
  std::string data, ranges;
  TechnologyOption technology;
  MapOptions maps;
  bool as_json = false;
};

// What cost tells of each layer.
struct CostTable {
  std::vector<LayerFacts> facts;
  std::vector<LayerFormats> formats;
  MapCost cost;
  std::map<std::string, int> seen;  // accumulator bits, by layer
  std::vector<std::optional<int>> worst_case;
  bool has_weights = false;
};

std::string number(const std::optional<int>& value) { return value ? std::to_string(*value) : ""; }

std::optional<int> seen_in(const CostTable& table, const std::string& layer) {
  const auto found = table.seen.find(layer);
  return found == table.seen.end() ? std::nullopt : std::optional(found->second);
}

void print_table(const CostOptions& options, const CostTable& table) {
  std::vector<std::vector<std::string>> rows;
  const MapCost& cost = table.cost;
  for (std::size_t i = 0; i < table.facts.size(); ++i) {
    const LayerFacts& facts = table.facts[i];
    const LayerCost& layer = cost.layers[i];
    if (facts.macs == 0) continue;
    rows.push_back({facts.layer, facts.type, std::to_string(facts.macs),
                    std::to_string(facts.terms), std::to_string(facts.weights),
                    std::to_string(table.formats[i].weight.bits), std::to_string(layer.input.bits),
                    percent_of(layer.bops, cost.bops), percent_of(layer.traffic, cost.traffic),
                    percent_of(layer.energy, cost.energy), number(table.formats[i].accumulator),
                    number(seen_in(table, facts.layer)), number(table.worst_case[i])});
  }
  std::printf("%s\n", format_table(
                          {"layer", "type", "MACs", "terms", "weights", "weight bits", "input bits",
                           "BOPs", "traffic", "energy", "accumulator", "seen", "worst case"},
                          rows)
                          .c_str());
  std::int64_t macs = 0;
  for (const LayerFacts& facts : table.facts) macs += facts.macs;
  const char* const why_unknown =
      table.has_weights ? "a scale hides the weights' codes" : "needs --checkpoint";
  const auto line = [&](const char* name, const std::optional<double>& value, const char* unit) {
    value ? std::printf("%-12s%.6g %s\n", name, *value, unit)
          : std::printf("%-12sunknown: %s\n", name, why_unknown);
  };
  line("MACs", static_cast<double>(macs), "");
  line("bits", cost.bits, "of weights and biases");
  line("peak", cost.peak, "bits of a layer's input and output");
  line("traffic", cost.traffic, "bits");
  line("BOPs", cost.bops, "");
  line("BOPs", cost.bops_without_zeros, "without weights that are 0");
  line("EBOPs", cost.ebops, "");
  line("energy", cost.energy / 1e6, "uJ");
  std::printf(
      "            %s: %s.\n            An order of magnitude to rank maps by, not a "
      "chip's energy\n",
      options.technology.technology().name.c_str(), options.technology.technology().source.c_str());
}

ordered_json layers_report(const CostTable& table) {
  ordered_json rows = ordered_json::array();
  for (std::size_t i = 0; i < table.facts.size(); ++i) {
    const LayerFacts& facts = table.facts[i];
    const LayerFormats& formats = table.formats[i];
    const LayerCost& cost = table.cost.layers[i];
    rows.push_back({{"layer", facts.layer},
                    {"type", facts.type},
                    {"macs", facts.macs},
                    {"terms", facts.terms},
                    {"weights", facts.weights},
                    {"biases", facts.biases},
                    {"inputs", facts.inputs},
                    {"outputs", facts.outputs},
                    {"sources", facts.sources}});
    if (facts.macs == 0) continue;
    ordered_json zeros;
    if (formats.weights) {
      zeros = static_cast<double>(formats.weights->zeros) / static_cast<double>(facts.weights);
    }
    rows.back().update({{"weight_bits", formats.weight.bits},
                        {"input_bits", cost.input.bits},
                        {"zeros", zeros},
                        {"parameter_bits", cost.parameter_bits},
                        {"traffic", cost.traffic},
                        {"bops", cost.bops},
                        {"bops_without_zeros", or_null(cost.bops_without_zeros)},
                        {"ebops", or_null(cost.ebops)},
                        {"energy", cost.energy},
                        {"accumulator",
                         {{"given", or_null(formats.accumulator)},
                          {"seen", or_null(seen_in(table, facts.layer))},
                          {"worst_case", or_null(table.worst_case[i])}}}});
  }
  return rows;
}

void run(CostOptions options) {
  options.technology.read();
  options.source.check(/*needs_checkpoint=*/false);
  if (!options.data.empty() && !options.source.is_file()) {
    throw CLI::ValidationError("--data", "is for ONNX files");
  }
  const Override maps = options.maps.read(0);
  const std::unique_ptr<SearchedModel> model = make_searched_model(options.source);
  apply_maps(model->module(), maps);  // faults of the maps first

  CostTable table;
  table.seen = read_sufficient_bits(options.ranges);
  table.facts = model->facts(options.data);
  table.has_weights = !model->fingerprint.empty();
  tensorquant::apply(model->module(), maps);  // facts() has taken them out
  table.formats = layer_formats(model->module(), table.facts);
  if (!table.has_weights) {  // these weights tell nothing
    for (LayerFormats& formats : table.formats) formats.weights = std::nullopt;
  }
  table.cost = CostFunction(table.facts, options.technology.technology())(table.formats);
  table.worst_case =
      worst_case_accumulators(model->module(), table.facts, table.formats, table.cost);
  if (!options.as_json) return print_table(options, table);
  print(ordered_json{{"model", options.source.model},
                     {"maps", to_json(maps)},
                     {"technology", options.technology.technology().name},
                     {"cost", to_json(table.cost)},
                     {"layers", layers_report(table)}});
}

}  // namespace

void add_cost(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "cost", "Count what a network under maps costs in hardware, for one image");
  auto options = std::make_shared<CostOptions>();
  options->source.add_to(*command, "; without it nothing is told that depends on them",
                         /*has_data=*/false);
  add_data_for_sizes(*command, options->data);
  options->technology.add_to(*command);
  command->add_option("--ranges", options->ranges,
                      "A report of evaluate --ranges --json, for the accumulator bits seen");
  add_json(*command, options->as_json);
  options->maps.add_to(*command);
  command->callback([options] { run(*options); });
}

}  // namespace tensorquant::cli
