#ifndef TENSORQUANT_CLI_TRAINING_RUN_H_
#define TENSORQUANT_CLI_TRAINING_RUN_H_

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tensorquant/base/file_lock.h"
#include "tensorquant/data/dataset.h"
#include "tensorquant/data/safetensors.h"
#include "tensorquant/models/training.h"

// The files of a run of `train --checkpoint OUT`: OUT holds the weights, OUT.train all that
// --resume needs, the weights again among it. OUT.train is written first, each whole or not at all:
// at any moment OUT is a complete checkpoint of the run and OUT.train a complete state of it, never
// older than OUT.
namespace tensorquant::cli {

// What the run was asked to do, as it stands in both files: model, data, images, fingerprint, maps,
// seed, batch_size, learning_rate, epochs, initial, threads; of an ONNX file also names and the
// options that say what it is run on.
using Settings = nlohmann::ordered_json;

std::filesystem::path state_path(const std::filesystem::path& checkpoint);

// Both files belong to one run for as long as it lives, so that they are never of two. Error where
// another run has one of them, or where one cannot be written: now, not after an epoch.
class RunLock {
 public:
  explicit RunLock(const std::filesystem::path& checkpoint);

 private:
  FileLock checkpoint_, state_;
};

// Throws an Error where there is no state, or a file that is none.
Safetensors read_state(const std::filesystem::path& checkpoint);
Settings settings_of(const Safetensors& state, const std::filesystem::path& checkpoint);

// Writes OUT.train, and OUT by `write_weights`, which gets metadata for it.
using WriteWeights = std::function<void(const std::map<std::string, std::string>& metadata)>;
void save_run(Trainer& trainer, const Settings& settings, const std::filesystem::path& checkpoint,
              const WriteWeights& write_weights);

// Tells data sets apart: FNV-1a-64 over pixels and labels, as hexadecimal digits.
std::string fingerprint(const ImageDataset& data);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_TRAINING_RUN_H_
