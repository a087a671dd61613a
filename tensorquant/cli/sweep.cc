#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/progress.h"
#include "tensorquant/cli/search_setup.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

struct SweepOptions {
  SearchOptions setup;
  DataOptions data;
  ShardOption shard;
  std::vector<std::string> maps;
  std::string list, uniform;
  bool as_json = false;
};

struct NamedMaps {
  std::string name;
  Override maps;
};

// A line a map; empty lines are skipped.
void read_list(const std::string& path, std::vector<NamedMaps>& all) {
  std::ifstream file(path);
  if (!file) throw Error(path + ": cannot read");
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string name = path + ":" + std::to_string(number);
    try {
      all.push_back({name, Override::from_json(line)});
    } catch (const Error& error) {
      throw Error(name + ": " + error.what());
    }
  }
  if (file.bad()) throw Error(path + ": cannot read");
}

// Files and lists are read first: their faults show before the work.
std::vector<NamedMaps> given_maps(const SweepOptions& options) {
  std::vector<NamedMaps> all;
  for (const std::string& path : options.maps) all.push_back({path, Override::from_file(path)});
  if (!options.list.empty()) read_list(options.list, all);
  for (const NamedMaps& one : all) one.maps.refuse_training();
  return all;
}

// One width at all places, the widest first.
void add_uniform(const SearchSetup& setup, std::vector<NamedMaps>& all) {
  for (std::size_t c = 0; c < setup.choices.front().size(); ++c) {
    std::vector<std::shared_ptr<const Quantizer>> quantizers;
    for (const auto& of_place : setup.choices) quantizers.push_back(of_place[c].quantizer);
    const int bits = operand_of(quantizers.front().get()).bits;
    all.push_back({"uniform " + std::to_string(bits), maps_of(setup.places, quantizers)});
  }
}

std::string points(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", 100 * share);
  return text;
}

double accuracy(const LogitMetrics& metrics) {
  return static_cast<double>(metrics.correct) / static_cast<double>(metrics.images);
}

void print_table(const std::vector<NamedMaps>& maps,
                 const std::vector<StoredEvaluations::Result>& results) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const LogitMetrics& found = results[i].metrics;
    if (!results[i].error.empty()) {
      rows.push_back({maps[i].name, "error", "", "", ""});
      continue;
    }
    char kl[32];
    std::snprintf(kl, sizeof kl, "%.3g", found.kl);
    rows.push_back({maps[i].name, points(accuracy(found)), points(found.loss()),
                    points(found.loss_error()), kl});
  }
  std::printf("%s", format_table({"maps", "accuracy (%)", "loss", "+-", "KL"}, rows).c_str());
}

void print_json(const SweepOptions& options, std::size_t images, std::size_t evaluations,
                const std::vector<NamedMaps>& maps,
                const std::vector<StoredEvaluations::Result>& found) {
  ordered_json results = ordered_json::array();
  for (std::size_t i = 0; i < maps.size(); ++i) {
    ordered_json one = {{"name", maps[i].name}, {"maps", to_json(maps[i].maps)}};
    const LogitMetrics& metrics = found[i].metrics;
    if (!found[i].error.empty()) {
      one["error"] = found[i].error;
    } else {
      one.update({{"accuracy", accuracy(metrics)},
                  {"loss", metrics.loss()},
                  {"loss_error", metrics.loss_error()},
                  {"kl", metrics.kl},
                  {"flips", metrics.flips}});
    }
    results.push_back(std::move(one));
  }
  print(ordered_json{{"model", options.setup.source.model},
                     {"checkpoint", options.setup.source.checkpoint},
                     {"data", options.data.path},
                     {"images", images},
                     {"evaluations", evaluations},
                     {"results", std::move(results)}});
}

void run(SweepOptions& options) {
  if (options.maps.empty() && options.list.empty() && options.uniform.empty()) {
    throw CLI::RequiredError("one of --maps, --list and --uniform");
  }
  options.shard.read();
  std::vector<NamedMaps> maps = given_maps(options);
  if (options.uniform.empty()) options.setup.places = {};  // no choices are looked for
  options.setup.widths = options.uniform.empty() ? "8" : options.uniform;
  SearchSetup setup(options.setup);
  if (!options.uniform.empty()) add_uniform(setup, maps);
  const SearchedSamples samples = setup.load(options.data, Split::test);
  std::vector<NamedMaps> part;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    if (options.shard.has(i)) part.push_back(maps[i]);
  }
  std::vector<Override> wanted;
  for (const NamedMaps& one : part) {
    wanted.push_back(one.maps);
    wanted.back().strict = true;
  }
  Progress progress(wanted.size());
  StoredEvaluations evaluate = setup.evaluations_on(samples, "sweep", [&](std::size_t done) {
    progress.update(done, "map " + std::to_string(done) + "/" + std::to_string(wanted.size()));
  });
  const std::vector<StoredEvaluations::Result> found = evaluate.results(wanted);
  if (options.shard.is_whole()) {
    options.as_json ? print_json(options, samples.runs.samples, evaluate.evaluations(), part, found)
                    : print_table(part, found);
  }
  std::size_t errors = 0;
  for (const StoredEvaluations::Result& one : found) errors += !one.error.empty();
  if (errors == 0) return;
  const auto first =
      std::find_if(found.begin(), found.end(), [](const auto& one) { return !one.error.empty(); });
  std::fflush(stdout);
  throw Error(std::to_string(errors) + " of " + std::to_string(found.size()) +
              " maps have no result; the first, " +
              part[static_cast<std::size_t>(first - found.begin())].name + ": " + first->error +
              "; --retry evaluates them once more");
}

}  // namespace

void add_sweep(CLI::App& app, Workers* ranks) {
  CLI::App* command =
      app.add_subcommand("sweep", "Evaluate many maps, in many processes, and keep the results");
  auto options = std::make_shared<SweepOptions>();
  command->add_option("--maps", options->maps, "JSON files with maps, a result each");
  command->add_option("--list", options->list, "A file with maps as JSON, a line each");
  CLI::Option* const uniform = command->add_option(
      "--uniform", options->uniform, "Widths of fixed point, A:B or A,B,..., each at all --places");
  options->data.add_to(*command, "t10k-*", {"--data", "--limit"});
  options->setup.add_to(*command, ranks);
  for (const char* const other : {"--widths", "--choices", "--metric"}) {
    command->remove_option(command->get_option(other));
  }
  for (const char* const of_uniform : {"--places", "--fraction", "--score-data", "--images"}) {
    command->get_option(of_uniform)->needs(uniform);
  }
  options->shard.add_to(*command);
  add_json(*command, options->as_json);
  command->callback([options] { run(*options); });
}

}  // namespace tensorquant::cli
