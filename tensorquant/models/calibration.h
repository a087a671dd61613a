#ifndef TENSORQUANT_MODELS_CALIBRATION_H_
#define TENSORQUANT_MODELS_CALIBRATION_H_

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tensorquant/calibration/calibrator.h"
#include "tensorquant/data/dataset.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/models/model.h"

namespace tensorquant {

// A model and what it is run on: samples, or batches of them.
struct SampleRuns {
  torch::nn::Module* model;
  std::size_t count;
  std::function<void(std::size_t number)> run;
};
// An image a run. The model and the data must outlive it.
SampleRuns sample_runs(const ModelInfo& info, ImageClassifier& model, const ImageDataset& data);

// What the outputs of layers are while the model runs over the samples as it is, in evaluation
// mode and in one thread of libtorch's: so that it depends on the samples, not on their order or on
// threads. after_run sees how many forward passes are done of how many.
std::map<std::string, Calibrator> observe_outputs(
    const SampleRuns& samples, const CalibrationMethod& method,
    const std::vector<std::string>& layers,
    const std::function<void(std::size_t done, std::size_t all)>& after_run = {});

struct CalibratedMaps {
  Override maps;
  std::vector<std::string> warnings;  // a line each
};

// The maps with numbers in place of the rules that find one scale in a whole output. The extrinsic
// map becomes one rule for each layer that it hits; the others stay as they are. The model runs
// without quantizers. Throws an Error where no output has such a rule, or where the method does not
// suit one, before the model runs.
CalibratedMaps calibrate(
    const SampleRuns& samples, const Override& maps, const CalibrationMethod& method,
    const std::function<void(std::size_t done, std::size_t all)>& after_run = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_CALIBRATION_H_
