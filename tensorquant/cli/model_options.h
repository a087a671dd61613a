#ifndef TENSORQUANT_CLI_MODEL_OPTIONS_H_
#define TENSORQUANT_CLI_MODEL_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/data/dataset.h"
#include "tensorquant/libtorch/model/model_ref.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/models/model.h"
#include "tensorquant/onnx/names/layers.h"

// Options that train, evaluate, explain and calibrate share. Faults of the command line are
// CLI::ValidationError, faults of a file are Error.
namespace tensorquant::cli {

// --weights, --extrinsic, --intrinsic, --maps, --strict.
struct MapOptions {
  void add_to(CLI::App& command);
  bool given() const;
  // The maps, with random rounding of that seed.
  Override read(std::uint64_t seed) const;

  std::string weights, extrinsic, intrinsic, maps;
  bool strict = false;
};

struct DataOptionNames {
  std::string data = "--data", limit = "--limit";
};

// --data and --limit, or options of other names.
struct DataOptions {
  CLI::Option* add_to(CLI::App& command, const std::string& used_split, DataOptionNames names = {});
  static std::string text(const std::string& used_split);  // of --data
  // Sets `path` where it was left to default; a CLI::ValidationError where there is none.
  void resolve(const ModelInfo& info);
  // The first `limit` images, after resolve(). Error if they do not fit the model.
  ImageDataset load(const ModelInfo& info, Split split);

  std::string path;
  std::size_t limit = 0;  // 0: all
  DataOptionNames names = {};
};

// The maps that a command runs an ONNX file under: those given, or else those that the file's
// metadata keep, which a note on stderr tells. `kept`: of onnx::take_maps().
Override maps_of_file(const MapOptions& given, std::uint64_t seed,
                      const std::optional<Override>& kept, const std::string& path);

// --names: what the nodes of an ONNX file are called.
struct NamesOption {
  void add_to(CLI::App& command);
  onnx::NameSource source() const;

  std::string names = "canonical";
};

// --threads, and the settings of the process that speed libtorch up.
struct ThreadOptions {
  void add_to(CLI::App& command);
  void set_up() const;

  int threads = 0;  // set by add_to() to begin with: as many as OpenMP would use
};

CLI::Option* add_model(CLI::App& command, std::string& model);
// For commands that take an ONNX file as well.
CLI::Option* add_model_or_file(CLI::App& command, std::string& model);
CLI::Option* add_batch_size(CLI::App& command, std::size_t& batch_size);
CLI::Option* add_seed(CLI::App& command, std::uint64_t& seed);
void add_json(CLI::App& command, bool& as_json);

// Error if one of the options is given: those of one kind of model with a model of the other.
void refuse_options(const CLI::App& command, const std::vector<const char*>& names,
                    const std::string& reason);

// Puts the maps into the model; rules that do nothing are warnings on stderr, one line each.
void apply_maps(ModelRef model, const Override& maps);
void warn(const std::string& message);
void note(const std::string& message);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_MODEL_OPTIONS_H_
