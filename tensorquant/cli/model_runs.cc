#include "tensorquant/cli/model_runs.h"

#include <optional>
#include <utility>

#include "tensorquant/cli/load_weights.h"
#include "tensorquant/cli/onnx_layers.h"
#include "tensorquant/onnx/export/kept_maps.h"
#include "tensorquant/onnx_torch/onnx_model.h"

namespace tensorquant::cli {
namespace {

ModelRuns runs_of_network(ModelRunsOptions& options, const MapOptions* given) {
  const Override maps = given == nullptr ? Override() : given->read(0);
  if (options.checkpoint.empty()) throw CLI::RequiredError("--checkpoint");
  struct Owned {
    std::shared_ptr<ImageClassifier> model;
    ImageDataset data = {};
  };
  const ModelInfo& info = find_model(options.model);
  auto owned = std::make_shared<Owned>(Owned{make_model(info)});
  apply_maps(*owned->model, maps);
  load_weights(*owned->model, options.checkpoint);
  owned->data = options.data.load(info, Split::train);
  return {sample_runs(info, *owned->model, owned->data), maps, owned};
}

ModelRuns runs_of_file(const ModelRunsOptions& options, const MapOptions* given) {
  if (!options.checkpoint.empty()) {
    throw CLI::ValidationError("--checkpoint", "is not for ONNX files");
  }
  struct Owned {
    std::shared_ptr<OnnxModel> model;
    OnnxData data = {};
  };
  onnx::ModelProto file = onnx::read_model(options.model);
  const std::optional<Override> kept = onnx::take_maps(file, options.model);
  const Override maps =
      given == nullptr ? Override() : maps_of_file(*given, 0, kept, options.model);
  auto owned = std::make_shared<Owned>(
      Owned{make_onnx_model(std::move(file), options.model, {.names = options.names.source()})});
  for (const std::string& warning : owned->model->warnings()) warn(warning);
  apply_maps(owned->model, maps);
  owned->data = options.onnx.read(*owned->model, {options.data.path, options.data.limit,
                                                  options.batch_size, /*seed=*/0, Split::train});
  return {{owned->model.get(), owned->data.runs(),
           [&owned = *owned](std::size_t run) { owned.model->forward(owned.data.inputs(run)); }},
          maps,
          owned};
}

}  // namespace

ModelRuns make_runs(ModelRunsOptions options, const MapOptions* maps) {
  return is_onnx_file(options.model) ? runs_of_file(options, maps) : runs_of_network(options, maps);
}

}  // namespace tensorquant::cli
