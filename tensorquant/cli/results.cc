#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/cost_report.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/report_model.h"
#include "tensorquant/report/image_sets.h"
#include "tensorquant/search/front.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;
using MapSet = tensorquant::ImageSet;  // cli's own is the choice of such images

struct ResultsOptions {
  std::string store, checkpoint, data, front;
  TechnologyOption technology;
  bool as_csv = false, as_json = false;
};

// What is listed: maps by the images that they were evaluated on, and errors.
struct Listing {
  EvaluatedMaps evaluated;
  std::vector<MapSet> sets;  // of `evaluated`
  std::string technology;
};

CostAndAccuracy order_of(const EvaluatedMap& map) {
  return {map.cost ? map.cost->bops : 0, map.accuracy()};
}

std::vector<const EvaluatedMap*> front_of(const MapSet& set, const std::string& cost) {
  std::vector<const EvaluatedMap*> maps;
  std::vector<CostAndAccuracy> points;
  for (const EvaluatedMap* const map : set.maps) {
    const std::optional<double> value = known_cost(*map->cost, cost);
    if (!value) continue;
    maps.push_back(map);
    points.push_back({*value, map->accuracy()});
  }
  if (const std::size_t hidden = set.maps.size() - maps.size(); hidden > 0) {
    warn(set.title() + ": maps that are left out, as a scale hides their weights' codes: " +
         std::to_string(hidden));
  }
  std::vector<const EvaluatedMap*> on_front;
  for (const std::size_t i : front(points)) on_front.push_back(maps[i]);
  return on_front;
}

Listing listing(const ResultsOptions& options, const Store& store) {
  Listing all;
  all.evaluated = evaluated_maps(store);
  if (const auto source = model_of(store, options.checkpoint)) {
    ReportedModel model(*source, store, options.data, options.technology.technology());
    model.add_costs(all.evaluated.maps);
    all.technology = model.technology();
  } else if (!options.checkpoint.empty() || !options.front.empty()) {
    throw unknown_model(options.store, store);
  }
  all.sets = image_sets(all.evaluated.maps);
  for (MapSet& set : all.sets) {
    if (!options.front.empty()) {
      set.maps = front_of(set, options.front);
    } else {
      std::stable_sort(set.maps.begin(), set.maps.end(), [](const auto* a, const auto* b) {
        return comes_before(order_of(*a), order_of(*b));
      });
    }
  }
  return all;
}

// All columns of --json and --csv, with nothing in them.
ordered_json empty_row() {
  ordered_json row;
  for (const char* const column :
       {"name", "purpose", "data", "images", "accuracy", "float_accuracy", "loss", "loss_error",
        "kl", "logit_error", "flips", "places", "least_bits", "most_bits"}) {
    row[column] = nullptr;
  }
  const ordered_json costs = to_json(MapCost());
  for (const auto& [cost, value] : costs.items()) row[cost] = nullptr;
  for (const char* const column : {"seconds", "error", "maps"}) row[column] = nullptr;
  return row;
}

// The fewest and the most of its places.
std::optional<std::pair<int, int>> bits_of(const EvaluatedMap& map) {
  if (map.places.empty()) return std::nullopt;
  const auto [least, most] =
      std::minmax_element(map.places.begin(), map.places.end(),
                          [](const auto& a, const auto& b) { return a.bits < b.bits; });
  return std::pair(least->bits, most->bits);
}

ordered_json row_of(const EvaluatedMap& map, const MapSet& set) {
  ordered_json row = empty_row();
  const LogitMetrics& metrics = map.metrics;
  row.update({{"name", map.name},
              {"purpose", map.purpose},
              {"data", map.data},
              {"images", metrics.images},
              {"accuracy", map.accuracy()},
              {"float_accuracy", set.float_accuracy},
              {"loss", metrics.loss()},
              {"loss_error", metrics.loss_error()},
              {"kl", metrics.kl},
              {"logit_error", metrics.logit_error},
              {"flips", metrics.flips},
              {"places", map.places.size()},
              {"seconds", or_null(map.seconds)},
              {"maps", ordered_json::parse(map.maps)}});
  if (map.cost) row.update(to_json(*map.cost));
  if (const auto bits = bits_of(map)) {
    row["least_bits"] = bits->first;
    row["most_bits"] = bits->second;
  }
  return row;
}

ordered_json row_of(const FailedMap& map) {
  ordered_json row = empty_row();
  row.update(
      {{"name", map.name}, {"purpose", map.purpose}, {"data", map.data}, {"error", map.error}});
  if (!map.maps.empty()) row["maps"] = ordered_json::parse(map.maps);
  return row;
}

// Errors are on no front.
ordered_json rows_of(const ResultsOptions& options, const Listing& all) {
  ordered_json rows = ordered_json::array();
  for (const MapSet& set : all.sets) {
    for (const EvaluatedMap* const map : set.maps) rows.push_back(row_of(*map, set));
  }
  if (!options.front.empty()) return rows;
  for (const FailedMap& map : all.evaluated.failed) rows.push_back(row_of(map));
  return rows;
}

std::string amount(const std::optional<double>& value, double unit = 1) {
  return value ? cell("%.4g", *value / unit) : "";
}

// "float", "weight:conv1 nearest,8,6", "9 places, 4 to 8 bits".
std::string kind_of(const EvaluatedMap& map) {
  const std::vector<PlaceFormat>& places = map.places;
  if (places.empty()) return "float";
  if (places.size() == 1) return places.front().place + " " + places.front().quantizer;
  const auto [least, most] = *bits_of(map);
  std::string bits = std::to_string(least);
  if (most != least) bits += " to " + std::to_string(most);
  return std::to_string(places.size()) + " places, " + bits + " bits";
}

void print_set(const MapSet& set) {
  const bool has_costs = set.maps.front()->cost.has_value();
  std::vector<std::string> headings = {"map", "places", "accuracy (%)", "loss", "+-", "KL"};
  if (has_costs) {
    headings.insert(headings.end(), {"bits", "traffic", "BOPs", "EBOPs", "energy (uJ)"});
  }
  headings.emplace_back("seconds");
  std::vector<std::vector<std::string>> rows;
  for (const EvaluatedMap* const map : set.maps) {
    std::vector<std::string> row = {map->name,
                                    kind_of(*map),
                                    cell("%.2f", 100 * map->accuracy()),
                                    cell("%.2f", 100 * map->metrics.loss()),
                                    cell("%.2f", 100 * map->metrics.loss_error()),
                                    cell("%.3g", map->metrics.kl)};
    if (has_costs) {
      const MapCost& cost = *map->cost;
      row.insert(row.end(), {amount(cost.bits), amount(cost.traffic), amount(cost.bops),
                             amount(cost.ebops), amount(cost.energy, 1e6)});
    }
    row.push_back(amount(map->seconds));
    rows.push_back(std::move(row));
  }
  std::printf("%s, %.2f %% in float\n%s\n", one_line(set.title()).c_str(), 100 * set.float_accuracy,
              format_table(headings, rows).c_str());
}

void print_errors(const EvaluatedMaps& evaluated) {
  std::vector<std::vector<std::string>> rows;
  for (const FailedMap& map : evaluated.failed) rows.push_back({map.name, map.purpose, map.error});
  if (!rows.empty()) {
    std::printf("errors\n%s\n", format_table({"map", "images for", "error"}, rows).c_str());
  }
  if (evaluated.others > 0) {
    std::printf("other records, which tell no accuracy: %zu\n", evaluated.others);
  }
}

void run(ResultsOptions& options) {
  options.technology.read();
  if (options.front == "ebops" && options.checkpoint.empty()) {
    throw CLI::RequiredError("--checkpoint, on whose weights EBOPs depend, with --front ebops");
  }
  const Listing all = listing(options, Store(options.store));
  if (options.as_csv) {
    std::vector<std::string> columns;
    const ordered_json row = empty_row();
    for (const auto& [column, value] : row.items()) columns.push_back(column);
    std::printf("%s", csv(columns, rows_of(options, all)).c_str());
  } else if (options.as_json) {
    const auto text_or_null = [](const std::string& text) {
      return text.empty() ? ordered_json() : ordered_json(text);
    };
    print(ordered_json{{"store", options.store},
                       {"front", text_or_null(options.front)},
                       {"technology", text_or_null(all.technology)},
                       {"results", rows_of(options, all)},
                       {"others", all.evaluated.others}});
  } else {
    for (const MapSet& set : all.sets) {
      if (!set.maps.empty()) print_set(set);
    }
    if (options.front.empty()) print_errors(all.evaluated);
  }
}

}  // namespace

void add_results(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("results", "List what a store holds: accuracy, loss and cost of each map");
  command->footer(
      "A map's name is that of its record; --json and --csv have the map itself. See "
      "docs/how_many_bits.md.\n");
  auto options = std::make_shared<ResultsOptions>();
  command->add_option("--store", options->store, "Folder of results, of sensitivity and search")
      ->required();
  command
      ->add_option("--front", options->front,
                   "Only maps that no map as cheap is as accurate as, on the same images, by this "
                   "cost")
      ->check(CLI::IsMember(cost_names()));
  command->add_option("--checkpoint", options->checkpoint,
                      "The store's weights, a safetensors file or its ONNX file, for costs, which "
                      "depend on them");
  add_data_for_sizes(*command, options->data);
  options->technology.add_to(*command);
  CLI::Option* const as_csv =
      command->add_flag("--csv", options->as_csv, "Comma-separated values, a line a record");
  add_json(*command, options->as_json);
  command->get_option("--json")->excludes(as_csv);
  command->callback([options] { run(*options); });
}

}  // namespace tensorquant::cli
