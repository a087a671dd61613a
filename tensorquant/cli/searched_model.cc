#include "tensorquant/cli/searched_model.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/hash.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/cli/load_weights.h"
#include "tensorquant/cli/onnx_layers.h"
#include "tensorquant/cli/searched_file.h"
#include "tensorquant/cli/training_run.h"
#include "tensorquant/models/layer_costs.h"

namespace tensorquant::cli {
namespace {

const std::vector<const char*> kImageOptions = {"--layout", "--mean", "--deviation", "--scale"};

}  // namespace

void ModelSource::add_to(CLI::App& command, const std::string& what_checkpoints_are_for,
                         bool has_data) {
  command_ = &command;
  add_model_or_file(command, model)->required();
  command.add_option("--checkpoint", checkpoint,
                     "Weights of a network, a safetensors file" + what_checkpoints_are_for);
  names.add_to(command);
  onnx.add_dims_to(command);
  if (has_data) onnx.images.add_to(command);
}

void ModelSource::check(bool needs_checkpoint) const {
  if (is_file()) {
    refuse_options(*command_, {"--checkpoint"}, "is not for ONNX files");
    return;
  }
  std::vector<const char*> of_files = {"--names", "--dim"};
  for (const char* const name : kImageOptions) {
    if (command_->get_option_no_throw(name) != nullptr) of_files.push_back(name);
  }
  refuse_options(*command_, of_files, "is for ONNX files");
  if (needs_checkpoint && checkpoint.empty()) throw CLI::RequiredError("--checkpoint");
}

bool ModelSource::is_file() const { return is_onnx_file(model); }

void ModelSource::resolve(DataOptions& data) const {
  if (!is_file()) return data.resolve(find_model(model));
  if (data.path.empty()) throw CLI::RequiredError(data.names.data);
}

void add_data_for_sizes(CLI::App& command, std::string& data) {
  command
      .add_option(
          "--data", data,
          "Data as of evaluate, whose first sample tells the sizes that the file leaves open")
      ->group("ONNX files");
}

nlohmann::ordered_json to_json(const ModelSource& source) {
  const auto absolute = [](const std::string& path) {
    return std::filesystem::absolute(path).string();
  };
  if (!source.is_file()) {
    return {{"model", source.model}, {"checkpoint", absolute(source.checkpoint)}};
  }
  nlohmann::ordered_json told = source.onnx.told();
  told["names"] = source.names.names;
  return {{"model", absolute(source.model)}, {"onnx", std::move(told)}};
}

ModelSource model_source_in(const nlohmann::ordered_json& request) {
  ModelSource source;
  source.model = request.at("model");
  if (!source.is_file()) {
    source.checkpoint = request.at("checkpoint");
    return source;
  }
  const auto told = request.value("onnx", nlohmann::ordered_json::object());
  source.names.names = told.value("names", source.names.names);
  source.onnx.take_over(told, [](const char*) { return false; });
  return source;
}

std::string fingerprint_of_checkpoint(const std::string& path) {
  return Fnv1a().add(read_file(path)).text();
}

SearchedNetwork::SearchedNetwork(const std::string& name, const std::string& checkpoint)
    : info(find_model(name)), model(make_model(info)) {
  if (checkpoint.empty()) return;
  fingerprint = fingerprint_of_checkpoint(checkpoint);
  load_weights(*model, checkpoint);
}

std::vector<LayerFacts> SearchedNetwork::facts(const std::string&) {
  return layer_facts(info, *model);
}

SearchedSamples SearchedNetwork::load(const ImageSet& set, std::size_t batch_size) {
  ImageDataset data = load_image_dataset(set.path, set.split);
  require_fit(info, data, set.path);
  SearchedSamples samples = {set, {}, "", nullptr, nullptr};
  samples.set.images = samples_of_set(set, data.count);
  const auto images = std::make_shared<const ImageDataset>(
      part_of_images(std::move(data), set.first, samples.set.images));
  samples.fingerprint = cli::fingerprint(*images);
  samples.runs = classifier_runs(info, *model, *images, batch_size);
  samples.images = images;
  samples.owner = images;
  return samples;
}

std::unique_ptr<SearchedModel> make_searched_model(const ModelSource& source) {
  if (source.is_file()) return std::make_unique<SearchedFile>(source);
  return std::make_unique<SearchedNetwork>(source.model, source.checkpoint);
}

}  // namespace tensorquant::cli
