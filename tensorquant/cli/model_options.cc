#include "tensorquant/cli/model_options.h"

#include <ATen/Parallel.h>
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/onnx_layers.h"
#include "tensorquant/libtorch/model/apply.h"

namespace tensorquant::cli {
namespace {

// Where Debian's package dataset-fashion-mnist puts the images.
constexpr const char* kFashionMnist = "/usr/share/datasets/fashion-mnist";

// A text that is neither a quantizer string nor JSON is a fault of the command line; what stands in
// a file, or that there is none, is not.
QuantizerMap map_of(const std::string& option, const std::string& argument, MapKind kind) {
  try {
    return QuantizerMap::from_argument(argument, kind);
  } catch (const Error& error) {
    std::error_code ignored;
    const std::string reason = error.what();
    if (std::filesystem::exists(argument, ignored) || reason.ends_with(": no such file")) throw;
    throw CLI::ValidationError(option, reason);
  }
}

void keep_first(ImageDataset& data, std::size_t count) {
  if (count >= data.count) return;
  data.pixels.resize(data.pixels.size() / data.count * count);
  data.labels.resize(count);
  data.count = count;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const ModelInfo& info : all_models()) names.push_back(info.name);
  return names;
}

}  // namespace

void MapOptions::add_to(CLI::App& command) {
  const std::string kinds = ": a JSON file, or one quantizer string for every layer";
  const char* group = "Quantizer maps";
  command.add_option("--weights", weights, "Map of weights and biases" + kinds)->group(group);
  command.add_option("--extrinsic", extrinsic, "Map of the layers' outputs" + kinds)->group(group);
  command.add_option("--intrinsic", intrinsic, "Map of the arithmetic inside the layers" + kinds)
      ->group(group);
  command.add_option("--maps", maps, "One JSON file with all three maps")
      ->group(group)
      ->excludes("--weights")
      ->excludes("--extrinsic")
      ->excludes("--intrinsic");
  command.add_flag("--strict", strict, "A rule that does nothing is an error")->group(group);
}

bool MapOptions::given() const {
  return !weights.empty() || !extrinsic.empty() || !intrinsic.empty() || !maps.empty();
}

Override MapOptions::read(std::uint64_t seed) const {
  Override result;
  if (!maps.empty()) result = Override::from_file(maps);
  result.refuse_training();
  if (!weights.empty()) result.weights = map_of("--weights", weights, MapKind::weights);
  if (!extrinsic.empty()) result.extrinsic = map_of("--extrinsic", extrinsic, MapKind::extrinsic);
  if (!intrinsic.empty()) result.intrinsic = map_of("--intrinsic", intrinsic, MapKind::intrinsic);
  result.seed = seed;
  result.strict = strict;
  return result;
}

Override maps_of_file(const MapOptions& given, std::uint64_t seed,
                      const std::optional<Override>& kept, const std::string& path) {
  Override maps = given.read(seed);
  if (given.given() || !kept) return maps;
  note(path + ": no maps are given: those in its metadata are taken");
  for (const MapKind kind : {MapKind::weights, MapKind::extrinsic, MapKind::intrinsic}) {
    maps[kind] = (*kept)[kind];
  }
  return maps;
}

CLI::Option* DataOptions::add_to(CLI::App& command, const std::string& used_split,
                                 DataOptionNames own_names) {
  names = std::move(own_names);
  add_number(command, names.limit, limit, "Use only the first images, this many", {.lowest = 1});
  return command.add_option(names.data, path, text(used_split));
}

std::string DataOptions::text(const std::string& used_split) {
  return "CIFAR-10 record file, or folder with MNIST-style IDX files, of which the " + used_split +
         " images are read; Fashion-MNIST in " + kFashionMnist + " if left out";
}

void DataOptions::resolve(const ModelInfo& info) {
  if (!path.empty()) return;
  std::error_code ignored;
  if (info.channels != 1 || !std::filesystem::exists(kFashionMnist, ignored)) {
    throw CLI::ValidationError(
        names.data, info.channels == 1 ? std::string("is required: there is no ") + kFashionMnist +
                                             " (Debian's package dataset-fashion-mnist)"
                                       : "is required for " + info.name);
  }
  path = kFashionMnist;
}

ImageDataset DataOptions::load(const ModelInfo& info, Split split) {
  resolve(info);
  ImageDataset data = load_image_dataset(path, split);
  require_fit(info, data, path);
  if (limit != 0) keep_first(data, limit);
  return data;
}

void NamesOption::add_to(CLI::App& command) {
  command
      .add_option(
          "--names", names,
          "What the nodes of an ONNX file are called: after the module that they come from, "
          "or alone by their own names or those of their outputs")
      ->check(CLI::IsMember({"canonical", "node", "output"}))
      ->capture_default_str()
      ->group("ONNX files");
}

onnx::NameSource NamesOption::source() const {
  return names == "node"     ? onnx::NameSource::node
         : names == "output" ? onnx::NameSource::output
                             : onnx::NameSource::canonical;
}

void ThreadOptions::add_to(CLI::App& command) {
  threads = num_threads();  // libtorch 1.13 would take one
  add_number(command, "--threads", threads, "Threads; bits of float results can depend on it",
             {1, 1024})
      ->capture_default_str();
}

void ThreadOptions::set_up() const {
  // Memory of large tensors stays in the process instead of going back to the system each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2147483647);
  mallopt(M_TOP_PAD, 64 << 20);
  set_num_threads(threads);
  at::set_num_threads(threads);
}

CLI::Option* add_model(CLI::App& command, std::string& model) {
  return command.add_option("--model", model, "Network")->check(CLI::IsMember(model_names()));
}

CLI::Option* add_model_or_file(CLI::App& command, std::string& model) {
  const CLI::Validator is_network = CLI::IsMember(model_names());
  return command.add_option("--model", model, "Network, or an ONNX file (.onnx)")
      ->check([is_network](const std::string& value) {
        return is_onnx_file(value) ? std::string() : is_network(value);
      });
}

CLI::Option* add_batch_size(CLI::App& command, std::size_t& batch_size) {
  return add_number(command, "--batch-size", batch_size, "Images in a batch", {.lowest = 1})
      ->capture_default_str();
}

CLI::Option* add_seed(CLI::App& command, std::uint64_t& seed) {
  return add_number(command, "--seed", seed, "Seed of all random numbers")->capture_default_str();
}

void add_json(CLI::App& command, bool& as_json) {
  command.add_flag("--json", as_json, "Print one JSON object");
}

void refuse_options(const CLI::App& command, const std::vector<const char*>& names,
                    const std::string& reason) {
  for (const char* name : names) {
    if (command.count(name) > 0) throw CLI::ValidationError(name, reason);
  }
}

void apply_maps(ModelRef model, const Override& maps) {
  const ApplyReport report = tensorquant::apply(model, maps);
  for (const std::string& warning : report.warnings) warn(warning);
}

void warn(const std::string& message) {
  std::fprintf(stderr, "tensorquant: warning: %s\n", message.c_str());
}

void note(const std::string& message) {
  std::fprintf(stderr, "tensorquant: note: %s\n", message.c_str());
}

}  // namespace tensorquant::cli
