#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/cli/accumulators.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/cost_report.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/progress.h"
#include "tensorquant/cli/search_setup.h"
#include "tensorquant/models/layer_costs.h"
#include "tensorquant/search/search.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;
using Choices = std::vector<std::size_t>;

struct MapSearchOptions {
  SearchOptions setup;
  DataOptions search_data, test_data;
  TechnologyOption technology;
  std::vector<std::string> ties;
  std::string cost = "bops", output;
  double margin = 0, budget = 0;
  int rounds = 1;
  bool accumulators = false;
  int accumulator_fraction = 0;
  bool has_fraction = false;
  bool as_json = false;
};

// The maps of a search: groups of places, a choice for each.
class SearchedMaps {
 public:
  SearchedMaps(SearchSetup& setup, const MapSearchOptions& options)
      : setup_(setup),
        groups_(groups_of(setup.places, options.ties)),
        cost_(setup.facts, options.technology.technology()),
        cost_name_(options.cost),
        float_formats_(layer_formats(setup.model->module(), setup.facts)) {
    for (std::size_t i = 0; i < setup.facts.size(); ++i) layers_[setup.facts[i].layer] = i;
  }

  const std::vector<std::vector<std::size_t>>& groups() const { return groups_; }

  Override maps(std::span<const std::size_t> choices) const {
    std::vector<std::shared_ptr<const Quantizer>> quantizers(setup_.places.size());
    for_each_place(choices, [&](std::size_t place, const PlaceChoice& choice) {
      quantizers[place] = choice.quantizer;
    });
    return maps_of(setup_.places, quantizers);
  }

  const CostFunction& cost_function() const { return cost_; }

  MapCost full_cost(std::span<const std::size_t> choices,
                    const Accumulators& accumulators = {}) const {
    std::vector<LayerFormats> formats = float_formats_;
    for_each_place(choices, [&](std::size_t place, const PlaceChoice& choice) {
      LayerFormats& layer = formats[layers_.at(setup_.places[place].layer)];
      const Operand operand = operand_of(choice.quantizer.get());
      switch (setup_.places[place].place) {
        case Place::weight:
          layer.weight = operand;
          layer.weights = choice.codes;
          break;
        case Place::bias:
          layer.bias = operand;
          break;
        default:
          layer.output = operand;
      }
    });
    for (const Accumulator& one : accumulators) {
      if (one.fraction) formats[layers_.at(one.layer)].accumulator = one.bits;
    }
    return cost_(formats);
  }
  double cost(std::span<const std::size_t> choices) const {
    return cost_named(full_cost(choices), cost_name_);
  }

  // Those of places added up.
  std::vector<std::vector<double>> scores(const std::vector<std::vector<double>>& of_places) const {
    std::vector<std::vector<double>> sums;
    for (const std::vector<std::size_t>& group : groups_) {
      std::vector<double>& sum = sums.emplace_back(setup_.choices[group.front()].size(), 0.0);
      for (const std::size_t place : group) {
        for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += of_places[place][c];
      }
    }
    return sums;
  }

  std::string name(std::size_t group) const {
    std::string text = setup_.places[groups_[group].front()].text();
    const std::size_t others = groups_[group].size() - 1;
    return others == 0 ? text : text + " and " + std::to_string(others) + " more";
  }
  std::string spec(std::size_t group, std::size_t choice) const {
    return setup_.choices[groups_[group].front()][choice].quantizer->spec();
  }

 private:
  template <class See>
  void for_each_place(std::span<const std::size_t> choices, See&& see) const {
    for (std::size_t group = 0; group < groups_.size(); ++group) {
      for (const std::size_t place : groups_[group]) {
        see(place, setup_.choices[place][choices[group]]);
      }
    }
  }

  SearchSetup& setup_;
  std::vector<std::vector<std::size_t>> groups_;
  CostFunction cost_;
  std::string cost_name_;
  std::vector<LayerFormats> float_formats_;
  std::map<std::string, std::size_t> layers_;
};

// The same choice everywhere, the cheapest that costs at least as much; nothing where the widest
// does not.
std::optional<std::size_t> next_uniform(const SearchedMaps& maps, std::size_t choices,
                                        double cost) {
  for (std::size_t choice = choices; choice-- > 0;) {
    if (maps.cost(Choices(maps.groups().size(), choice)) >= cost) return choice;
  }
  return std::nullopt;
}

bool is_one_file(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(a, ignored) && std::filesystem::equivalent(a, b, ignored);
}

// How many images of the search images' file scores were made of: its first.
std::size_t score_images_before(MapSearchOptions& options, const SearchSetup& setup) {
  DataOptions& data = options.search_data;
  const DataOptions& score = options.setup.score_data;
  if (data.path.empty()) data.path = score.path;
  std::error_code ignored;
  const bool is_same = std::filesystem::equivalent(data.path, score.path, ignored);
  return is_same ? setup.score_data.runs.samples : 0;
}

// `split` of a folder; a file of records has none.
ordered_json report_of(const DataOptions& options, const char* split,
                       const SearchedSamples& samples) {
  std::error_code ignored;
  const bool is_folder = std::filesystem::is_directory(options.path, ignored);
  return {{"path", options.path},
          {"split", is_folder ? ordered_json(split) : ordered_json()},
          {"images", samples.runs.samples}};
}

ordered_json report_of(const LogitMetrics& metrics) {
  const auto images = static_cast<double>(metrics.images);
  return {{"images", metrics.images},
          {"accuracy", static_cast<double>(metrics.correct) / images},
          {"loss", metrics.loss()},
          {"loss_error", metrics.loss_error()},
          {"kl", metrics.kl}};
}

ordered_json report_of(const SearchedMaps& maps, const std::vector<PathStep>& path, double widest) {
  ordered_json steps = ordered_json::array();
  for (const PathStep& step : path) {
    steps.push_back({{"place", maps.name(step.group)},
                     {"from", maps.spec(step.group, step.from)},
                     {"to", maps.spec(step.group, step.to)},
                     {"score_added", step.score_added},
                     {"score", step.score},
                     {"cost", step.cost},
                     {"share", step.cost / widest}});
  }
  return steps;
}

void print_map(const char* name, const ordered_json& map, const std::string& cost, double widest) {
  const auto share = map["cost"][cost].get<double>() / widest;
  const ordered_json& test = map["test"];
  std::printf(
      "%-12s%s %.3f of the widest; test images: accuracy %.2f %%, loss %.2f +- %.2f points\n", name,
      cost.c_str(), share, 100 * test["accuracy"].get<double>(), 100 * test["loss"].get<double>(),
      100 * test["loss_error"].get<double>());
}

void print_search(const MapSearchOptions& options, const ordered_json& report) {
  const double widest = report["widest"];
  for (const auto& [name, set] : report["data"].items()) {
    const std::string split =
        set["split"].is_null() ? "" : set["split"].get<std::string>() + " of ";
    std::printf("%-12s%zu images: %s%s\n", name.c_str(), set["images"].get<std::size_t>(),
                split.c_str(), set["path"].get<std::string>().c_str());
  }
  std::printf("\n");
  for (std::size_t i = 0; i < report["steps"].get<std::size_t>(); ++i) {
    const ordered_json& step = report["path"][i];
    std::printf("%s %s -> %s: score %+.2g, %s %.4f\n", step["place"].get<std::string>().c_str(),
                step["from"].get<std::string>().c_str(), step["to"].get<std::string>().c_str(),
                step["score_added"].get<double>(), options.cost.c_str(),
                step["share"].get<double>());
  }
  std::printf("\n");
  print_map("found", report["found"], options.cost, widest);
  if (!report["uniform"].is_null()) print_map("uniform", report["uniform"], options.cost, widest);
  if (report.contains("accumulators")) {
    std::printf("\n%s\n", table_of_accumulators(report["accumulators"]).c_str());
  }
  std::printf("evaluations %zu\n", report["evaluations"].get<std::size_t>());
}

class MapSearch {
 public:
  explicit MapSearch(MapSearchOptions& options)
      : options_(options), setup_(options.setup), maps_(setup_, options) {
    cost_named(maps_.full_cost(Choices(maps_.groups().size(), 0)), options.cost);
    const std::size_t skipped = score_images_before(options, setup_);
    images_ = setup_.load(options.search_data, Split::train, skipped);
    warn_about_test_data();
  }

  ordered_json run() {
    const auto scores = setup_.scores_by_metric();
    evaluations_ = setup_.evaluations;
    StoredEvaluations search = setup_.evaluations_on(images_, "search");
    const SearchProblem problem = {
        maps_.scores(scores), [this](auto choices) { return maps_.cost(choices); },
        [&](auto choices) {
          const LogitMetrics metrics = search(maps_.maps(choices));
          return Measurement{metrics.kl, metrics.loss(), metrics.loss_error()};
        },
        [&](const std::vector<Choices>& soon) {
          std::vector<Override> maps;
          for (const Choices& choices : soon) maps.push_back(maps_.maps(choices));
          search.make(maps);
        }};
    const double widest = problem.cost(Choices(maps_.groups().size(), 0));
    const SearchResult result = search_with(problem, widest);
    warn_about_few_images(result.measured);
    ordered_json report = report_of(result, search, widest);
    report["evaluations"] = evaluations_ + search.evaluations();
    return report;
  }

 private:
  // A share of the widest map, or a cost.
  double budget(double widest) const {
    return options_.budget <= 1 ? options_.budget * widest : options_.budget;
  }

  SearchResult search_with(const SearchProblem& problem, double widest) const {
    return options_.margin > 0 ? search_margin(problem, options_.margin / 100, options_.rounds)
                               : search_budget(problem, budget(widest), options_.rounds);
  }

  // None unless they are asked for.
  Accumulators accumulators_of(const SearchResult& result, StoredEvaluations& search) {
    if (!options_.accumulators) return {};
    const Override maps = maps_.maps(result.choices);
    const std::optional<int> fraction =
        options_.has_fraction ? std::optional(options_.accumulator_fraction) : std::nullopt;
    Accumulators accumulators = wide_accumulators(setup_, maps_.cost_function(), maps, fraction);
    see_sums(setup_, images_, maps, accumulators);
    if (options_.margin > 0 && !narrow([&](const Override& one) { return search(one); }, maps,
                                       options_.margin / 100, accumulators)) {
      warn(
          "with accumulators the loss is above the margin though they saturate nothing: they round "
          "biases to their step; --accumulator-fraction takes a finer one");
    }
    return accumulators;
  }

  ordered_json report_of(const SearchResult& result, StoredEvaluations& search, double widest) {
    const Accumulators accumulators = accumulators_of(result, search);
    // Test images are read here, when all is decided.
    const SearchedSamples test_images = setup_.load(options_.test_data, Split::test);
    StoredEvaluations test = setup_.evaluations_on(test_images, "test");
    const auto told = [&](const Choices& choices, const Accumulators& inside) -> ordered_json {
      const Override maps = with_accumulators(maps_.maps(choices), inside);
      return {{"cost", to_json(maps_.full_cost(choices, inside))},
              {"search", cli::report_of(search(maps))},
              {"test", cli::report_of(test(maps))},
              {"maps", to_json(maps)}};
    };
    ordered_json report = {
        {"model", options_.setup.source.model},
        {"checkpoint", options_.setup.source.checkpoint},
        {"data",
         {{"score", cli::report_of(options_.setup.score_data, "train", setup_.score_data)},
          {"search", cli::report_of(options_.search_data, "train", images_)},
          {"test", cli::report_of(options_.test_data, "test", test_images)}}},
        {"cost", options_.cost},
        {"widest", widest},
        {"path_cost", maps_.cost(result.path_choices)},
        {"steps", result.steps},
        {"found", told(result.choices, accumulators)},
        {"uniform", nullptr}};
    if (options_.accumulators) report["accumulators"] = to_json(accumulators);
    const std::size_t choices = setup_.choices.front().size();
    if (const auto uniform = next_uniform(maps_, choices, result.cost)) {
      report["uniform"] = told(Choices(maps_.groups().size(), *uniform), {});
    }
    report["path"] = cli::report_of(maps_, result.path, widest);
    evaluations_ += test.evaluations();
    return report;
  }

  void warn_about_test_data() const {
    if (is_one_file(options_.search_data.path, options_.test_data.path) ||
        is_one_file(options_.setup.score_data.path, options_.test_data.path)) {
      warn(options_.test_data.path +
           ": the final figure is of images that the search has seen, so better than it should be");
    }
  }

  void warn_about_few_images(const Measurement& measured) const {
    const double margin = options_.margin / 100;
    if (!(margin > 0) || measured.loss_error <= margin / 2) return;
    const std::size_t searched = images_.runs.samples;
    const double images =
        images_factor(measured.loss_error, margin) * static_cast<double>(searched);
    char text[160];
    std::snprintf(text, sizeof text,
                  "%zu search images tell a loss to +- %.2f points, more than half the margin: "
                  "about %.0f would do",
                  searched, 100 * measured.loss_error, images);
    warn(text);
  }

  MapSearchOptions& options_;
  SearchSetup setup_;
  SearchedMaps maps_;
  SearchedSamples images_;
  std::size_t evaluations_ = 0;
};

// Sets that are not named come from the folder that is. The test images' file may be missing until
// the end, but not its name.
void resolve_data(MapSearchOptions& options) {
  DataOptions &score = options.setup.score_data, &test = options.test_data;
  std::error_code ignored;
  for (const DataOptions* const named : {&test, &score, &options.search_data}) {
    if (!std::filesystem::is_directory(named->path, ignored)) continue;
    for (DataOptions* const other : {&test, &score}) {
      if (other->path.empty()) other->path = named->path;
    }
  }
  options.setup.source.resolve(test);
  options.setup.source.resolve(score);
}

void run(MapSearchOptions& options) {
  if ((options.margin > 0) == (options.budget > 0)) {
    throw CLI::RequiredError("one of --margin and --budget");
  }
  options.technology.read();
  resolve_data(options);
  if (!options.output.empty()) AtomicFile probe(options.output);
  MapSearch search(options);
  const ordered_json report = search.run();
  const std::string maps = report["found"]["maps"].dump(2) + "\n";
  if (!options.output.empty()) write_file_atomically(options.output, maps);
  if (options.as_json) return print(report);
  print_search(options, report);
  if (options.output.empty()) std::printf("%s", maps.c_str());
}

}  // namespace

void add_search(CLI::App& app, Workers* ranks) {
  CLI::App* command = app.add_subcommand(
      "search", "Find the cheapest maps that keep the accuracy, or the best within a budget");
  auto options = std::make_shared<MapSearchOptions>();
  options->setup.add_to(*command, ranks);
  CLI::Option* const margin = add_positive(*command, "--margin", options->margin,
                                           "Points of accuracy that may be lost, with the "
                                           "standard error of that loss");
  add_positive(*command, "--budget", options->budget,
               "The cost that may be had, or, up to 1, its share of the widest map's")
      ->excludes(margin);
  command->add_option("--cost", options->cost, "What is to be saved")
      ->check(CLI::IsMember(cost_names()))
      ->capture_default_str();
  options->technology.add_to(*command);
  command
      ->add_option("--tie", options->ties,
                   "Places that get one width: weights, biases, outputs or a regular expression "
                   "that hits their names, such as weight:layer1")
      ->allow_extra_args(false);
  add_number(*command, "--refine", options->rounds,
             "Rounds in which single changes are evaluated, two a place", {0, 100})
      ->capture_default_str();
  options->search_data.add_to(*command, "train-*", {"--search-data", "--search-images"});
  options->test_data.add_to(*command, "t10k-*", {"--data", "--test-images"});
  CLI::Option* const inside = command->add_flag(
      "--accumulators", options->accumulators,
      "Also choose the accumulator bits of each layer: enough for the sums of the search images, "
      "then fewer as long as the margin holds");
  add_number(*command, "--accumulator-fraction", options->accumulator_fraction,
             "Bits right of the point in all accumulators, those of exact products if left out",
             {-64, 64})
      ->needs(inside)
      ->each([options](const std::string&) { options->has_fraction = true; });
  command->add_option("--output", options->output, "Where to write the maps; stdout if left out");
  add_json(*command, options->as_json);
  command->callback([options] { run(*options); });
}

}  // namespace tensorquant::cli
