#ifndef TENSORQUANT_CLI_MODEL_RUNS_H_
#define TENSORQUANT_CLI_MODEL_RUNS_H_

#include <cstddef>
#include <memory>
#include <string>

#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/onnx_data.h"
#include "tensorquant/models/calibration.h"

// A network with its checkpoint, or an ONNX file, and the data on which a command watches it.
namespace tensorquant::cli {

struct ModelRunsOptions {
  std::string model, checkpoint;
  NamesOption names;
  DataOptions data;
  OnnxDataOptions onnx;
  std::size_t batch_size = 1;  // of an ONNX file; networks get an image at a time
};

struct ModelRuns {
  SampleRuns samples;
  Override maps;                // that the model has
  std::shared_ptr<void> owner;  // of what they use
};

// The model gets the maps, whose faults show before the data are read; none where the pointer is
// null. Warnings go to stderr.
ModelRuns make_runs(ModelRunsOptions options, const MapOptions* maps);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_MODEL_RUNS_H_
