#include "tensorquant/cli/training_run.h"

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/hash.h"

namespace tensorquant::cli {
namespace {

constexpr const char* kSettings = "training";

// The path, if a file can be written there.
std::filesystem::path writable(const std::filesystem::path& path) {
  const AtomicFile probe(path);
  return path;
}

}  // namespace

std::filesystem::path state_path(const std::filesystem::path& checkpoint) {
  return checkpoint.string() + ".train";
}

RunLock::RunLock(const std::filesystem::path& checkpoint)
    : checkpoint_(writable(checkpoint)), state_(writable(state_path(checkpoint))) {}

Safetensors read_state(const std::filesystem::path& checkpoint) {
  return read_safetensors(state_path(checkpoint));
}

Settings settings_of(const Safetensors& state, const std::filesystem::path& checkpoint) {
  const auto found = state.metadata.find(kSettings);
  const Settings settings = found == state.metadata.end()
                                ? Settings()
                                : Settings::parse(found->second, nullptr, /*exceptions=*/false);
  if (!settings.is_object()) {
    throw Error(state_path(checkpoint).string() + ": is no state of a training run");
  }
  return settings;
}

void save_run(Trainer& trainer, const Settings& settings, const std::filesystem::path& checkpoint,
              const WriteWeights& write_weights) {
  const std::string text =
      settings.dump(-1, ' ', false, Settings::error_handler_t::replace);  // a path may be no UTF-8
  Safetensors state = trainer.state();
  state.metadata[kSettings] = text;
  write_safetensors(state_path(checkpoint), state);
  write_weights({{kSettings, text}});
}

std::string fingerprint(const ImageDataset& data) {
  return Fnv1a().add(data.pixels).add(data.labels).text();
}

}  // namespace tensorquant::cli
