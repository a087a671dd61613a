#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/all_but_one.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/search_setup.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

struct SensitivityOptions {
  SearchOptions search;
  ShardOption shard;
  std::string mode = "only", maps;
  bool as_json = false;
};

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string share_of(const std::optional<double>& share) {
  return share ? short_number(100 * *share) + " %" : "";
}

// The columns that need no evaluation, and those of one.
const std::vector<std::string> kFitColumns = {"place",     "quantizer", "SQNR (dB)",
                                              "saturated", "to zero",   "idle bits"};
const std::vector<std::string> kMetricColumns = {"KL", "logit error", "flips", "loss"};

std::vector<std::string> fit_cells(const LayerPlace& place, const PlaceChoice& choice) {
  const std::optional<double> sqnr = choice.fit.sqnr();
  const std::optional<int> idle = choice.fit.idle_bits(*choice.quantizer);
  return {place.text(),
          choice.quantizer->spec(),
          sqnr ? short_number(*sqnr) : (choice.fit.error == 0 ? "exact" : ""),
          share_of(choice.fit.counts.saturated_share()),
          share_of(choice.fit.counts.became_zero_share()),
          idle ? std::to_string(*idle) : ""};
}

std::vector<std::string> metric_cells(const LogitMetrics& metrics) {
  return {short_number(metrics.kl), short_number(metrics.logit_error),
          std::to_string(metrics.flips), share_of(metrics.loss())};
}

template <class T>
std::vector<T> joined(std::vector<T> a, const std::vector<T>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

ordered_json fit_report(const PlaceChoice& choice) {
  return {{"quantizer", choice.quantizer->spec()},
          {"bits", operand_of(choice.quantizer.get()).bits},
          {"noise", or_null(choice.fit.noise())},
          {"sqnr", or_null(choice.fit.sqnr())},
          {"saturated", or_null(choice.fit.counts.saturated_share())},
          {"to_zero", or_null(choice.fit.counts.became_zero_share())},
          {"idle_bits", or_null(choice.fit.idle_bits(*choice.quantizer))}};
}

ordered_json metric_report(const LogitMetrics& metrics) {
  return {{"kl", metrics.kl},
          {"logit_error", metrics.logit_error},
          {"flips", metrics.flips},
          {"loss", metrics.loss()},
          {"loss_error", metrics.loss_error()}};
}

ordered_json head_of(const SensitivityOptions& options, const SearchSetup& setup) {
  const ModelSource& source = options.search.source;
  return {{"model", source.model},
          {"checkpoint", source.checkpoint},
          {"data", options.search.score_data.path},
          {"images", setup.score_data.runs.samples},
          {"mode", options.mode}};
}

// A row and an entry for each place and choice. Cells and reports stand behind those of the fit.
class ChoiceTable {
 public:
  explicit ChoiceTable(const SearchSetup& setup) : setup_(setup) {}

  template <class Cells, class Report>
  void fill(Cells&& cells, Report&& report) {
    for (std::size_t i = 0; i < setup_.places.size(); ++i) {
      ordered_json choices = ordered_json::array();
      for (std::size_t c = 0; c < setup_.choices[i].size(); ++c) {
        const PlaceChoice& choice = setup_.choices[i][c];
        rows.push_back(joined(fit_cells(setup_.places[i], choice), cells(i, c)));
        ordered_json entry = fit_report(choice);
        entry.update(report(i, c));
        choices.push_back(std::move(entry));
      }
      places.push_back({{"place", setup_.places[i].text()}, {"choices", std::move(choices)}});
    }
  }

  std::vector<std::vector<std::string>> rows;
  ordered_json places = ordered_json::array();

 private:
  const SearchSetup& setup_;
};

void print_or_table(const SensitivityOptions& options, ordered_json head, const ChoiceTable& table,
                    const std::vector<std::string>& columns) {
  if (!options.as_json) {
    std::printf("%s", format_table(joined(kFitColumns, columns), table.rows).c_str());
    return;
  }
  head["places"] = table.places;
  print(std::move(head));
}

void run_only(SensitivityOptions& options) {
  SearchSetup setup(options.search);
  if (!options.shard.is_whole()) return setup.make_scores(options.shard);
  ChoiceTable table(setup);
  if (options.search.metric == "fisher") {
    const std::vector<std::vector<double>> scores = setup.fisher();
    table.fill([&](std::size_t i,
                   std::size_t c) { return std::vector<std::string>{short_number(scores[i][c])}; },
               [&](std::size_t i, std::size_t c) {
                 return ordered_json{{"fisher", scores[i][c]}};
               });
    return print_or_table(options, head_of(options, setup), table, {"Fisher"});
  }
  const std::vector<std::vector<LogitMetrics>> scores = setup.scores();
  table.fill([&](std::size_t i, std::size_t c) { return metric_cells(scores[i][c]); },
             [&](std::size_t i, std::size_t c) { return metric_report(scores[i][c]); });
  ordered_json head = head_of(options, setup);
  head["evaluations"] = setup.evaluations;
  print_or_table(options, std::move(head), table, kMetricColumns);
}

// What would help most: the metrics of the maps without one quantizer after the other.
void run_but(SensitivityOptions& options) {
  const Override maps = Override::from_file(options.maps);
  maps.refuse_training();
  SearchSetup setup(options.search, maps);
  const AllButOne found = all_but_one(setup, maps);
  ChoiceTable table(setup);
  table.fill(
      [&](std::size_t i, std::size_t) {
        std::vector<std::string> cells = metric_cells(found.without[i]);
        cells.insert(cells.begin(), short_number(found.whole.kl - found.without[i].kl));
        return cells;
      },
      [&](std::size_t i, std::size_t) {
        ordered_json report = {{"kl_saved", found.whole.kl - found.without[i].kl}};
        report.update(metric_report(found.without[i]));
        return report;
      });
  ordered_json head = head_of(options, setup);
  head["evaluations"] = setup.evaluations;
  head["whole"] = metric_report(found.whole);
  if (!options.as_json) {
    std::printf("%s\n",
                format_table(joined<std::string>({"all of the maps"}, kMetricColumns),
                             {joined<std::string>({options.maps}, metric_cells(found.whole))})
                    .c_str());
  }
  print_or_table(options, std::move(head), table,
                 joined<std::string>({"KL saved"}, kMetricColumns));
}

void run(const CLI::App& command, SensitivityOptions& options) {
  options.shard.read();
  const bool makes_scores = options.mode == "only" && options.search.metric != "fisher";
  if (!options.shard.is_whole() && !makes_scores) {
    throw CLI::ValidationError("--shard", "is for --mode only and a metric of whole evaluations");
  }
  if (options.search.metric == "fisher" && options.search.jobs.jobs > 0) {
    throw CLI::ValidationError("--jobs", "is not for --metric fisher, which evaluates no maps");
  }
  if (options.mode == "only") {
    if (!options.maps.empty()) throw CLI::ExcludesError("--maps", "--mode only");
    return run_only(options);
  }
  if (options.maps.empty()) throw CLI::RequiredError("--maps");
  if (options.search.metric != "kl") throw CLI::ExcludesError("--metric", "--mode but");
  for (const char* const name : {"--widths", "--choices", "--fraction"}) {
    if (command.count(name) != 0) throw CLI::ExcludesError(name, "--mode but");
  }
  run_but(options);
}

}  // namespace

void add_sensitivity(CLI::App& app, Workers* ranks) {
  CLI::App* command = app.add_subcommand(
      "sensitivity", "Measure what each weight and output loses at each width, the others float");
  command->footer(
      "KL is the mean over images of the divergence, in nats, of the quantized network's "
      "probabilities from the float network's:\n"
      "it needs no labels and sees what accuracy does not show. See docs/how_many_bits.md.\n");
  auto options = std::make_shared<SensitivityOptions>();
  options->search.add_to(*command, ranks);
  options->shard.add_to(*command);
  command
      ->add_option(
          "--mode", options->mode,
          "only: one place is quantized at a time; but: all that --maps quantizes, but one "
          "place at a time: what would help most")
      ->check(CLI::IsMember({"only", "but"}))
      ->capture_default_str();
  command->add_option("--maps", options->maps, "The map file of --mode but");
  add_json(*command, options->as_json);
  command->callback([options, command] { run(*command, *options); });
}

}  // namespace tensorquant::cli
