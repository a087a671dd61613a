#include <ATen/ATen.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/interrupt.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/load_weights.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/numeric_libraries.h"
#include "tensorquant/cli/onnx_data.h"
#include "tensorquant/cli/onnx_layers.h"
#include "tensorquant/cli/progress.h"
#include "tensorquant/cli/train_onnx.h"
#include "tensorquant/cli/training_run.h"
#include "tensorquant/onnx/export/kept_maps.h"

namespace tensorquant::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct TrainOptions {
  std::string model, checkpoint, initial;
  DataOptions data;
  OnnxDataOptions onnx;
  NamesOption names;
  MapOptions maps;
  ThreadOptions threads;
  TrainingOptions training;
  bool resume = false;
  bool as_json = false;
};

// The maps as they stand in the settings of a run.
Override maps_from(const Settings& settings) {
  Override maps = Override::from_json(settings.at("maps").dump());
  maps.seed = settings.at("seed");
  return maps;
}

// What was saved before a run diverged must not be replaced by what came of it.
void require_finite(const torch::nn::Module& model) {
  for (const auto& parameter : model.named_parameters()) {
    if (!at::isfinite(parameter.value()).all().item<bool>()) {
      throw Error("'" + parameter.key() +
                  "' is no longer finite and is not saved; try a smaller learning rate");
    }
  }
}

// A model with its data, of whichever kind.
struct Subject {
  TrainingTask task;
  std::size_t images = 0;
  std::string fingerprint;  // of the data
  WriteWeights write_weights;
  std::shared_ptr<void> owner;  // of what the task and the writer use
};

class TrainCommand {
 public:
  TrainCommand(const CLI::App& command, TrainOptions& options)
      : command_(command), options_(options) {}

  void run();

 private:
  void take_over(const Settings& settings);
  template <class T>
  void take_over(const Settings& settings, const char* name, T& value);
  bool given(const std::string& name) const {
    return command_.get_option_no_throw(name) != nullptr && command_.count(name) > 0;
  }
  void check_options() const;
  Subject network();
  Subject onnx_file();
  Settings settings(const Subject& subject) const;
  void train(Trainer& trainer, const Subject& subject, const Settings& settings);
  void report(const Trainer& trainer, const Subject& subject, const Settings& settings,
              double seconds) const;

  const CLI::App& command_;
  TrainOptions& options_;
  Override maps_;
};

// --resume: what the command line leaves out is as it was; what it gives must be as it was.
template <class T>
void TrainCommand::take_over(const Settings& settings, const char* name, T& value) {
  std::string option = std::string("--") + name;
  std::replace(option.begin(), option.end(), '_', '-');
  const T stored = settings.at(name);
  if (given(option) && value != stored) {
    throw CLI::ValidationError(option, "the run to resume has " + settings.at(name).dump() +
                                           "; leave the option out, or train without --resume");
  }
  value = stored;
}

void TrainCommand::take_over(const Settings& settings) {
  try {
    take_over(settings, "model", options_.model);
    take_over(settings, "initial", options_.initial);
    take_over(settings, "seed", options_.training.seed);
    take_over(settings, "batch_size", options_.training.batch_size);
    take_over(settings, "learning_rate", options_.training.learning_rate);
    take_over(settings, "limit", options_.data.limit);
    if (settings.contains("names")) take_over(settings, "names", options_.names.names);
    // These may change: a run may go on for longer, with data and threads of another place.
    if (!given("--epochs")) options_.training.epochs = settings.at("epochs");
    if (!given("--data") && !given("--input") && !given("--random")) {
      options_.data.path = settings.at("data");
    }
    options_.onnx.take_over(settings, [this](const char* option) { return given(option); });
    if (!given("--threads")) options_.threads.threads = settings.at("threads");
    Override stored = maps_from(settings);
    stored.strict = options_.maps.strict;
    if (options_.maps.given() && options_.maps.read(stored.seed) != stored) {
      throw CLI::ValidationError("the run to resume has the maps " + stored.to_json() +
                                 "; leave them out, or train without --resume");
    }
    maps_ = std::move(stored);
  } catch (const nlohmann::json::exception& error) {
    throw Error(state_path(options_.checkpoint).string() +
                ": damaged settings of a training run: " + error.what());
  }
}

// Options of one kind of model with a model of the other.
void TrainCommand::check_options() const {
  if (is_onnx_file(options_.model)) {
    refuse_options(command_, {"--initial"}, "is not for ONNX files, which have their weights");
    if (options_.checkpoint.ends_with(".onnx")) return;
    throw CLI::ValidationError("--checkpoint", "the result is an ONNX file, .onnx");
  }
  std::vector<const char*> names = OnnxDataOptions::names();
  names.push_back("--names");
  refuse_options(command_, names, "is for ONNX files");
}

Subject TrainCommand::network() {
  struct Owned {
    const ModelInfo& info;
    std::shared_ptr<ImageClassifier> model;
    ImageDataset data = {};
  };
  const ModelInfo& info = find_model(options_.model);
  auto owned = std::make_shared<Owned>(Owned{info, make_model(info, options_.training.seed)});
  apply_maps(*owned->model, maps_);
  if (!options_.resume && !options_.initial.empty()) load_weights(*owned->model, options_.initial);
  owned->data = options_.data.load(info, Split::train);
  return {training_task(info, owned->model, owned->data), owned->data.count,
          fingerprint(owned->data),
          [this, model = owned->model](const std::map<std::string, std::string>& metadata) {
            save_checkpoint(*model, options_.checkpoint, metadata);
          },
          owned};
}

Subject TrainCommand::onnx_file() {
  struct Owned {
    OnnxTraining training;
    OnnxData data = {};
  };
  onnx::ModelProto file = onnx::read_model(options_.model);
  const std::optional<Override> kept = onnx::take_maps(file, options_.model);
  if (!options_.resume) {
    maps_ = maps_of_file(options_.maps, options_.training.seed, kept, options_.model);
  }
  auto owned = std::make_shared<Owned>(
      Owned{OnnxTraining(std::move(file), options_.model, options_.names.source(), maps_,
                         /*keeps_maps=*/kept.has_value())});
  owned->data =
      options_.onnx.read(owned->training.model(),
                         {options_.data.path, options_.data.limit, options_.training.batch_size,
                          options_.training.seed, Split::train});
  TrainingTask task = owned->training.task(owned->data);
  options_.training.batch_size = owned->data.batch_size();  // which the file may fix
  return {std::move(task), owned->data.samples(), owned->data.fingerprint(),
          [this, owned](const std::map<std::string, std::string>&) {
            owned->training.save(options_.checkpoint);
          },
          owned};
}

Settings TrainCommand::settings(const Subject& subject) const {
  Settings settings = {{"model", options_.model},
                       {"data", options_.data.path},
                       {"images", subject.images},
                       {"fingerprint", subject.fingerprint},
                       {"limit", options_.data.limit},
                       {"initial", options_.initial},
                       {"maps", to_json(maps_)},
                       {"seed", options_.training.seed},
                       {"epochs", options_.training.epochs},
                       {"batch_size", options_.training.batch_size},
                       {"learning_rate", options_.training.learning_rate},
                       {"threads", options_.threads.threads}};
  if (is_onnx_file(options_.model)) {
    settings["names"] = options_.names.names;
    settings.update(options_.onnx.told());
  }
  return settings;
}

void TrainCommand::run() {
  const RunLock lock(options_.checkpoint);
  Safetensors state;
  Settings stored;
  if (options_.resume) {
    state = read_state(options_.checkpoint);
    stored = settings_of(state, options_.checkpoint);
    take_over(stored);
  } else {
    if (options_.model.empty()) throw CLI::RequiredError("--model");
    maps_ = options_.maps.read(options_.training.seed);
  }
  check_options();
  options_.threads.set_up();
  const Subject subject = is_onnx_file(options_.model) ? onnx_file() : network();

  const Settings now = settings(subject);
  Trainer trainer(subject.task, options_.training);
  if (options_.resume) {
    if (stored.value("fingerprint", "") != now["fingerprint"].get<std::string>()) {
      throw Error(options_.data.path + ": is not the data of the run to resume");
    }
    trainer.restore(state, state_path(options_.checkpoint).string());
    if (trainer.steps() > trainer.all_steps()) {
      throw CLI::ValidationError(
          "--epochs", "the run to resume has done " + std::to_string(trainer.steps()) +
                          " batches already, more than the " + std::to_string(trainer.all_steps()) +
                          " of " + std::to_string(options_.training.epochs) + " epochs");
    }
    if (trainer.finished()) warn("nothing is left to do: the run has done all its epochs");
  }
  const Clock::time_point start = Clock::now();
  train(trainer, subject, now);
  report(trainer, subject, now, std::chrono::duration<double>(Clock::now() - start).count());
}

void TrainCommand::train(Trainer& trainer, const Subject& subject, const Settings& settings) {
  const Interrupt interrupt;
  const std::size_t first = trainer.steps();
  Progress progress(trainer.all_steps() - std::min(first, trainer.all_steps()));
  while (!trainer.finished()) {
    const int epoch = trainer.epoch() + 1;
    trainer.step();
    const bool epoch_done = trainer.batch() == 0;
    if (epoch_done || interrupt.requested()) {
      require_finite(*subject.task.model);
      save_run(trainer, settings, options_.checkpoint, subject.write_weights);
    }
    if (interrupt.requested() && !trainer.finished()) {
      throw Error("interrupted after " + std::to_string(trainer.steps()) + " of " +
                  std::to_string(trainer.all_steps()) + " batches; " + options_.checkpoint +
                  " is complete, and the same command with --resume goes on from there");
    }
    char text[128];
    const EpochResult& result = trainer.results().back();
    std::snprintf(text, sizeof text, "epoch %d/%d  batch %zu/%zu  loss %.4f  accuracy %.2f %%",
                  epoch, options_.training.epochs, epoch_done ? trainer.batches() : trainer.batch(),
                  trainer.batches(), result.loss, 100 * result.accuracy);
    progress.update(trainer.steps() - first, text);
  }
}

void TrainCommand::report(const Trainer& trainer, const Subject& subject, const Settings& settings,
                          double seconds) const {
  if (options_.as_json) {
    Settings object = settings;
    object["checkpoint"] = options_.checkpoint;
    object["steps"] = trainer.steps();
    object["seconds"] = seconds;
    object["libraries"] = to_json(numeric_libraries());
    object["non_finite"] = {{"weights", to_json(non_finite_weights(*subject.task.model))}};
    object["results"] = Settings::array();
    for (const EpochResult& epoch : trainer.results()) {
      object["results"].push_back({{"loss", epoch.loss}, {"training_accuracy", epoch.accuracy}});
    }
    print(object);
    return;
  }
  std::printf("epoch  loss    training accuracy\n");
  for (std::size_t i = 0; i < trainer.results().size(); ++i) {
    const EpochResult& epoch = trainer.results()[i];
    std::printf("%5zu  %.4f  %.2f %%\n", i + 1, epoch.loss, 100 * epoch.accuracy);
  }
  std::printf("\n");
  for (const auto& [name, value] : settings.items()) {
    if (name == "fingerprint" || value == "" || (name == "limit" && value == 0)) continue;
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    std::printf("%-14s %s\n", name.c_str(), text.c_str());
  }
  std::printf("%-14s %s\n%-14s %.1f\n", "checkpoint", options_.checkpoint.c_str(), "seconds",
              seconds);
  std::printf("%s", to_text(numeric_libraries(), 15).c_str());
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "train", "Train a network, or fine-tune one through the quantizers in its layers");
  command->footer(
      "Weights stay float32; with maps the network learns with the quantizers in place. After each "
      "epoch OUT and OUT.train are written, each whole or not at all. Ctrl-C stops after the batch "
      "and writes them; --resume goes on from OUT.train to the same bits. While a run lasts, "
      "another one that would write the same files is refused.");
  auto options = std::make_shared<TrainOptions>();
  add_model_or_file(*command, options->model);
  command
      ->add_option("--checkpoint", options->checkpoint,
                   "OUT, the weights to write; of an ONNX file the whole file, OUT.onnx")
      ->required();
  command->add_option("--initial", options->initial,
                      "Weights to start from, a safetensors file (F16, BF16 and F64 are made "
                      "float32); random ones if left out");
  options->data.add_to(*command, "train-*");
  options->onnx.add_to(*command);
  options->names.add_to(*command);
  add_number(*command, "--epochs", options->training.epochs, "Times that each image is seen",
             {.lowest = 1})
      ->capture_default_str();
  add_batch_size(*command, options->training.batch_size);
  add_positive(*command, "--learning-rate", options->training.learning_rate,
               "Adam's rate at the start; it falls to 0 over the run")
      ->capture_default_str();
  add_seed(*command, options->training.seed)
      ->description("Seed of the first weights, the order of the images and random rounding");
  command->add_flag("--resume", options->resume,
                    "Go on from OUT.train; options that are left out are as they were");
  options->threads.add_to(*command);
  add_json(*command, options->as_json);
  options->maps.add_to(*command);
  command->callback([command, options] { TrainCommand(*command, *options).run(); });
}

}  // namespace tensorquant::cli
