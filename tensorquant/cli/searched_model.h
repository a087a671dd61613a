#ifndef TENSORQUANT_CLI_SEARCHED_MODEL_H_
#define TENSORQUANT_CLI_SEARCHED_MODEL_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensorquant/cli/image_set.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/onnx_data.h"
#include "tensorquant/models/classifier_runs.h"
#include "tensorquant/search/layer_facts.h"

// What costs are counted of, and maps are searched for.
namespace tensorquant::cli {

// A network's name and its checkpoint, or an ONNX file, which holds its weights.
struct ModelSource {
  // --model, --checkpoint, and what ONNX files need; with `has_data` also what is done to images.
  void add_to(CLI::App& command, const std::string& what_checkpoints_are_for, bool has_data = true);
  // CLI::ValidationError where an option is not for this kind of model, CLI::RequiredError where a
  // network has no checkpoint but needs one.
  void check(bool needs_checkpoint = true) const;
  bool is_file() const;
  // Sets a path that was left out; a CLI error where nothing stands in for it.
  void resolve(DataOptions& data) const;

  std::string model, checkpoint;
  NamesOption names;
  OnnxDataOptions onnx;  // but what says which data

 private:
  const CLI::App* command_ = nullptr;
};

// --data of a command that runs no data: for the sizes that an ONNX file leaves open.
void add_data_for_sizes(CLI::App& command, std::string& data);

// As another process is asked to evaluate it.
nlohmann::ordered_json to_json(const ModelSource& source);
// Throws nlohmann's exceptions.
ModelSource model_source_in(const nlohmann::ordered_json& request);

// Samples of a set, in batches.
struct SearchedSamples {
  ImageSet set;
  ClassifierRuns runs;
  std::string fingerprint;                               // tells data apart
  std::shared_ptr<const ImageDataset> images = nullptr;  // null: of an ONNX file
  std::shared_ptr<const void> owner = nullptr;           // of what the runs use
};

class SearchedModel {
 public:
  virtual ~SearchedModel() = default;

  virtual torch::nn::Module& module() = 0;
  // The layers in the order of execution. The model runs once, without its quantizers; of a file
  // on the first of these data, or without on what its inputs are declared to be.
  virtual std::vector<LayerFacts> facts(const std::string& data = "") = 0;
  // As many of the set's samples as there are, which it tells then. Error where there is none, or
  // where they do not fit the model. The model must outlive them.
  virtual SearchedSamples load(const ImageSet& set, std::size_t batch_size) = 0;

  // Tells weights apart; "": none were loaded.
  std::string fingerprint;
};

// A network that comes with the program.
class SearchedNetwork : public SearchedModel {
 public:
  // Without a checkpoint its weights are random.
  SearchedNetwork(const std::string& name, const std::string& checkpoint);

  torch::nn::Module& module() override { return *model; }
  std::vector<LayerFacts> facts(const std::string& data) override;
  SearchedSamples load(const ImageSet& set, std::size_t batch_size) override;

  const ModelInfo& info;
  const std::shared_ptr<ImageClassifier> model;
};

std::string fingerprint_of_checkpoint(const std::string& path);

std::unique_ptr<SearchedModel> make_searched_model(const ModelSource& source);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_SEARCHED_MODEL_H_
