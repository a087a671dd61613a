#ifndef TENSORQUANT_CLI_SEARCH_SETUP_H_
#define TENSORQUANT_CLI_SEARCH_SETUP_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/cli/interrupt.h"
#include "tensorquant/cli/job_options.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/searched_model.h"
#include "tensorquant/cli/stored_evaluations.h"
#include "tensorquant/models/sensitivity.h"

namespace tensorquant::cli {

// What sensitivity and search share.
struct SearchOptions {
  // `ranks` evaluate, if there are any.
  void add_to(CLI::App& command, Workers* ranks);

  ModelSource source;
  std::string store;
  std::vector<std::string> places = {"weights", "outputs"};
  std::string widths = "2:8";
  std::vector<std::string> choices;  // quantizer strings in place of widths
  std::string fraction = "best";
  std::string metric = "kl";
  DataOptions score_data;
  std::size_t batch_size = 128;
  ThreadOptions threads;
  JobOptions jobs;
};

// 2:8 or 2,4,8, from the widest to the narrowest. Throws CLI::ValidationError.
std::vector<int> widths_of(const std::string& text);

// A model with what a search needs to know before it evaluates maps.
class SearchSetup {
 public:
  // Faults of options and files come first, then the choices of all places are looked for.
  explicit SearchSetup(SearchOptions& options);
  // The same for places that the maps quantize, and as only choice what they give to each.
  SearchSetup(SearchOptions& options, const Override& maps);

  const Interrupt interrupt;
  std::unique_ptr<SearchedModel> model;
  std::unique_ptr<Store> store;
  SearchedSamples score_data;  // none where no place is asked for
  std::vector<LayerFacts> facts;
  std::vector<LayerPlace> places;
  std::vector<std::vector<PlaceChoice>> choices;  // from the widest to the narrowest

  std::size_t batch_size() const { return options_.batch_size; }
  // A map for each place and choice, all other places float, in their order.
  std::vector<Override> score_maps() const;
  // The metrics of each of them.
  std::vector<std::vector<LogitMetrics>> scores();
  // Sees to it that the store has those of a part.
  void make_scores(const ShardOption& part);
  // Those of any maps, on the score images.
  std::vector<LogitMetrics> evaluate_scores(std::span<const Override> maps);
  std::size_t evaluations = 0;  // that these had to make
  // See models/fisher.h: no evaluation, and nothing that the store keeps.
  std::vector<std::vector<double>> fisher();
  // What --metric says each choice costs in accuracy.
  std::vector<std::vector<double>> scores_by_metric();

  // As many samples as there are of a set that `data` names from `first` on.
  SearchedSamples load(DataOptions& data, Split split, std::size_t first = 0);
  StoredEvaluations evaluations_on(const SearchedSamples& samples, const std::string& purpose,
                                   std::function<void(std::size_t)> after = {});

 private:
  ChoiceOptions set_up(SearchOptions& options);

  const SearchOptions& options_;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_SEARCH_SETUP_H_
