#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/search_setup.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

struct SensitivityOptions {
  SearchOptions search;
  ShardOption shard;
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

void print_scores(const SearchSetup& setup, const std::vector<std::vector<LogitMetrics>>& scores) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < setup.places.size(); ++i) {
    for (std::size_t c = 0; c < setup.choices[i].size(); ++c) {
      const PlaceChoice& choice = setup.choices[i][c];
      const LogitMetrics& metrics = scores[i][c];
      const std::optional<double> sqnr = choice.fit.sqnr();
      const std::optional<int> idle = choice.fit.idle_bits(*choice.quantizer);
      rows.push_back({setup.places[i].text(), choice.quantizer->spec(),
                      sqnr ? short_number(*sqnr) : (choice.fit.error == 0 ? "exact" : ""),
                      share_of(choice.fit.counts.saturated_share()),
                      share_of(choice.fit.counts.became_zero_share()),
                      idle ? std::to_string(*idle) : "", short_number(metrics.kl),
                      short_number(metrics.logit_error), std::to_string(metrics.flips),
                      share_of(metrics.loss())});
    }
  }
  std::printf("%s", format_table({"place", "quantizer", "SQNR (dB)", "saturated", "to zero",
                                  "idle bits", "KL", "logit error", "flips", "loss"},
                                 rows)
                        .c_str());
}

ordered_json report_of(const PlaceChoice& choice, const LogitMetrics& metrics) {
  return {{"quantizer", choice.quantizer->spec()},
          {"bits", operand_of(choice.quantizer.get()).bits},
          {"noise", or_null(choice.fit.noise())},
          {"sqnr", or_null(choice.fit.sqnr())},
          {"saturated", or_null(choice.fit.counts.saturated_share())},
          {"to_zero", or_null(choice.fit.counts.became_zero_share())},
          {"idle_bits", or_null(choice.fit.idle_bits(*choice.quantizer))},
          {"kl", metrics.kl},
          {"logit_error", metrics.logit_error},
          {"flips", metrics.flips},
          {"loss", metrics.loss()},
          {"loss_error", metrics.loss_error()}};
}

void run(SensitivityOptions& options) {
  options.shard.read();
  SearchSetup setup(options.search);
  if (!options.shard.is_whole()) return setup.make_scores(options.shard);
  const std::vector<std::vector<LogitMetrics>> scores = setup.scores();
  if (!options.as_json) return print_scores(setup, scores);
  ordered_json places = ordered_json::array();
  for (std::size_t i = 0; i < setup.places.size(); ++i) {
    ordered_json choices = ordered_json::array();
    for (std::size_t c = 0; c < setup.choices[i].size(); ++c) {
      choices.push_back(report_of(setup.choices[i][c], scores[i][c]));
    }
    places.push_back({{"place", setup.places[i].text()}, {"choices", std::move(choices)}});
  }
  print(ordered_json{{"model", options.search.model},
                     {"checkpoint", options.search.checkpoint},
                     {"data", options.search.score_data.path},
                     {"images", setup.score_data.count},
                     {"evaluations", setup.evaluations},
                     {"places", std::move(places)}});
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
  add_json(*command, options->as_json);
  command->callback([options] { run(*options); });
}

}  // namespace tensorquant::cli
