#include "tensorquant/cli/search_setup.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "tensorquant/base/error.h"
#include "tensorquant/cli/all_but_one.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/numeric_libraries.h"
#include "tensorquant/cli/progress.h"
#include "tensorquant/models/fisher.h"

namespace tensorquant::cli {
namespace {

constexpr int kNarrowest = 1, kWidest = 32;
constexpr std::size_t kScoreImages = 256;

int width_of(const std::string& text, const std::string& all) {
  const std::optional<int> width = read_whole<int>(text);
  if (!width || *width < kNarrowest || *width > kWidest) {
    throw CLI::ValidationError("--widths", "'" + all + "' is not A:B or A,B,... of numbers from " +
                                               std::to_string(kNarrowest) + " to " +
                                               std::to_string(kWidest));
  }
  return *width;
}

std::vector<std::shared_ptr<const Quantizer>> quantizers_of(const std::vector<std::string>& texts) {
  std::vector<std::shared_ptr<const Quantizer>> quantizers;
  for (const std::string& text : texts) {
    try {
      quantizers.push_back(make_quantizer(text));
    } catch (const Error& error) {
      throw CLI::ValidationError("--choices", error.what());
    }
  }
  const auto bits = [](const auto& quantizer) { return operand_of(quantizer.get()).stored_bits; };
  std::stable_sort(quantizers.begin(), quantizers.end(),
                   [&](const auto& a, const auto& b) { return bits(a) > bits(b); });
  return quantizers;
}

// All that decides results and is the same for the whole store, but for the images.
std::string shared_settings(const SearchOptions& options, const std::string& fingerprint) {
  nlohmann::json settings = {{"model", options.source.model},
                             {"checkpoint", fingerprint},
                             {"batch_size", options.batch_size},
                             {"threads", options.threads.threads},
                             {"numerics", to_line(numeric_libraries())},
                             {"tensorquant", TENSORQUANT_VERSION}};
  if (options.source.is_file()) {  // wherever it lies
    settings["model"] = std::filesystem::path(options.source.model).filename().string();
    settings["onnx"] = to_json(options.source)["onnx"];
  }
  return settings.dump();
}

}  // namespace

void SearchOptions::add_to(CLI::App& command, Workers* ranks) {
  source.add_to(command, "");
  command
      .add_option("--store", store,
                  "Folder that keeps all results: what is interrupted goes on where it was")
      ->required();
  command
      .add_option("--places", places,
                  "weights, biases, outputs (those of ReLUs and other activations), input, or "
                  "single places: "
                  "weight:LAYER, bias:LAYER, output:LAYER")
      ->delimiter(',')
      ->capture_default_str();
  CLI::Option* const fixed =
      command.add_option("--widths", widths, "Widths of fixed point, A:B or A,B,...")
          ->capture_default_str();
  command
      .add_option("--choices", choices,
                  "Quantizer strings in place of widths, each after a --choices of its own")
      ->allow_extra_args(false)
      ->excludes(fixed);
  command
      .add_option("--fraction", fraction,
                  "best: of the finest fraction that covers all values and the three next finer "
                  "ones that with the least squared error; cover: the first of these")
      ->check(CLI::IsMember({"best", "cover"}))
      ->capture_default_str();
  command
      .add_option("--metric", metric,
                  "The score. kl and logit_error: of an evaluation a place and choice; fisher: "
                  "their estimate for small changes, of one backward pass a class for all of them")
      ->check(CLI::IsMember({"kl", "logit_error", "fisher"}))
      ->capture_default_str();
  score_data.limit = kScoreImages;
  score_data.add_to(command, "train-*", {"--score-data", "--images"});
  command.get_option("--images")->capture_default_str();
  add_batch_size(command, batch_size);
  threads.add_to(command);
  jobs.add_to(command, ranks);
}

std::vector<int> widths_of(const std::string& text) {
  std::vector<int> widths;
  if (const std::size_t colon = text.find(':'); colon != std::string::npos) {
    const int first = width_of(text.substr(0, colon), text);
    const int last = width_of(text.substr(colon + 1), text);
    for (int width = std::max(first, last); width >= std::min(first, last); --width) {
      widths.push_back(width);
    }
    return widths;
  }
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    widths.push_back(width_of(text.substr(begin, end - begin), text));
    begin = end + 1;
  }
  std::sort(widths.begin(), widths.end(), std::greater<>());
  widths.erase(std::unique(widths.begin(), widths.end()), widths.end());
  return widths;
}

SearchSetup::SearchSetup(SearchOptions& options) : options_(options) {
  const ChoiceOptions wanted = set_up(options);
  if (!places.empty()) choices = choices_for(score_data.runs, places, wanted);
}

SearchSetup::SearchSetup(SearchOptions& options, const Override& maps) : options_(options) {
  const ChoiceOptions wanted = set_up(options);
  QuantizedPlaces found = quantized_places(model->module(), places, maps);
  places = std::move(found.places);
  choices = choices_of(score_data.runs, places, found.quantizers, wanted);
}

ChoiceOptions SearchSetup::set_up(SearchOptions& options) {
  options.source.check();
  if (options.metric == "fisher" && options.source.is_file()) {
    throw CLI::ValidationError("--metric", "fisher is not for ONNX files");
  }
  ChoiceOptions wanted;
  wanted.quantizers = quantizers_of(options.choices);
  if (options.choices.empty()) wanted.widths = widths_of(options.widths);
  wanted.cover = options.fraction == "cover";
  wanted.after_batch = [this] { interrupt.check(); };
  options.jobs.set_up(options.threads);
  options.threads.set_up();
  model = make_searched_model(options.source);
  if (!options.places.empty()) {
    score_data = load(options.score_data, Split::train);
    facts = model->facts(options.score_data.path);
    places = places_of(facts, model->module(), options.places);
  }
  store = std::make_unique<Store>(options.store, shared_settings(options, model->fingerprint));
  return wanted;
}

SearchedSamples SearchSetup::load(DataOptions& data, Split split, std::size_t first) {
  options_.source.resolve(data);
  SearchedSamples samples = model->load({data.path, split, first, data.limit}, options_.batch_size);
  if (samples.runs.labels.empty()) {
    note(data.path + ": has no labels: what the model says in float stands in for them");
  }
  return samples;
}

StoredEvaluations SearchSetup::evaluations_on(const SearchedSamples& samples,
                                              const std::string& purpose,
                                              std::function<void(std::size_t)> after) {
  return {*store,
          {options_.source, model->fingerprint, options_.batch_size, interrupt,
           options_.jobs.workers(), options_.jobs.retry},
          samples,
          purpose,
          std::move(after)};
}

std::vector<Override> SearchSetup::score_maps() const {
  std::vector<Override> maps;
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (const PlaceChoice& choice : choices[i]) {
      maps.push_back(maps_of({&places[i], 1}, {&choice.quantizer, 1}));
    }
  }
  return maps;
}

std::vector<LogitMetrics> SearchSetup::evaluate_scores(std::span<const Override> maps) {
  const std::size_t all = maps.size();
  Progress progress(all);
  StoredEvaluations evaluate = evaluations_on(score_data, "score", [&](std::size_t done) {
    progress.update(done, "map " + std::to_string(done) + "/" + std::to_string(all));
  });
  std::vector<LogitMetrics> found = evaluate.all(maps);
  evaluations = evaluate.evaluations();
  return found;
}

std::vector<std::vector<LogitMetrics>> SearchSetup::scores() {
  const std::vector<LogitMetrics> found = evaluate_scores(score_maps());
  std::vector<std::vector<LogitMetrics>> scores;
  auto next = found.begin();
  for (const std::vector<PlaceChoice>& of_place : choices) {
    scores.emplace_back(next, next + static_cast<std::ptrdiff_t>(of_place.size()));
    next += static_cast<std::ptrdiff_t>(of_place.size());
  }
  return scores;
}

void SearchSetup::make_scores(const ShardOption& part) {
  std::vector<Override> maps;
  std::size_t task = 0;
  for (Override& one : score_maps()) {
    if (part.has(task++)) maps.push_back(std::move(one));
  }
  evaluate_scores(maps);
}

std::vector<std::vector<double>> SearchSetup::fisher() {
  std::vector<std::vector<std::shared_ptr<const Quantizer>>> quantizers(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (const PlaceChoice& choice : choices[i]) quantizers[i].push_back(choice.quantizer);
  }
  const std::size_t all = score_data.runs.samples;
  Progress progress(all);
  const auto& network = dynamic_cast<const SearchedNetwork&>(*model);
  return fisher_scores(network.info, *network.model, *score_data.images, facts, places, quantizers,
                       [&](std::size_t images) {
                         interrupt.check();
                         progress.update(
                             images, "image " + std::to_string(images) + "/" + std::to_string(all));
                       });
}

std::vector<std::vector<double>> SearchSetup::scores_by_metric() {
  if (options_.metric == "fisher") return fisher();
  std::vector<std::vector<double>> values;
  for (const std::vector<LogitMetrics>& of_place : scores()) {
    std::vector<double>& row = values.emplace_back();
    for (const LogitMetrics& one : of_place) {
      row.push_back(options_.metric == "kl" ? one.kl : one.logit_error);
    }
  }
  return values;
}

}  // namespace tensorquant::cli
