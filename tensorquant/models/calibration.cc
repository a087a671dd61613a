#include "tensorquant/models/calibration.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdint>
#include <memory>
#include <span>

#include "tensorquant/base/error.h"
#include "tensorquant/calibration/calibrated.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/summary.h"

namespace tensorquant {
namespace {

void observe(const at::Tensor& output, Calibrator& calibrator) {
  const at::Tensor values = output.to(at::kFloat).contiguous();
  calibrator.observe(
      std::span<const float>(values.data_ptr<float>(), static_cast<std::size_t>(values.numel())));
}

std::string output_of(const std::string& layer) { return "the output of " + layer; }

std::string counts_of(const Summary& summary) {
  return std::to_string(summary.nan) + " NaN and " + std::to_string(summary.infinite) +
         " infinities";
}

// Takes the observer out again whatever happens.
class ScopedOutputObserver {
 public:
  ScopedOutputObserver(torch::nn::Module& model, OutputObserver observer) : model_(model) {
    set_output_observer(model_, std::move(observer));
  }
  ~ScopedOutputObserver() { set_output_observer(model_, {}); }
  ScopedOutputObserver(const ScopedOutputObserver&) = delete;
  ScopedOutputObserver& operator=(const ScopedOutputObserver&) = delete;

 private:
  torch::nn::Module& model_;
};

// One thread of libtorch's, whose number decides about last bits of convolutions.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace

SampleRuns sample_runs(const ModelInfo& info, ImageClassifier& model, const ImageDataset& data) {
  return {&model, data.count, [&info, &model, &data](std::size_t sample) {
            model.forward(preprocess(info, data, batch_indices(data, sample, 1)));
          }};
}

std::map<std::string, Calibrator> observe_outputs(
    const SampleRuns& samples, const CalibrationMethod& method,
    const std::vector<std::string>& layers,
    const std::function<void(std::size_t done, std::size_t all)>& after_sample) {
  const at::NoGradGuard no_gradient;
  const OneThread one_thread;
  samples.model->eval();
  std::map<std::string, Calibrator> calibrators;
  for (const std::string& layer : layers) calibrators.emplace(layer, method);
  const ScopedOutputObserver observer(
      *samples.model, [&](const std::string& name, const at::Tensor& x) {
        // Further outputs of a layer are "name:output1"; one quantizer is for all of them.
        const auto found = calibrators.find(name.substr(0, name.find(':')));
        if (found != calibrators.end()) observe(x, found->second);
      });
  const auto passes = static_cast<std::size_t>(method.passes());
  for (std::size_t pass = 0; pass < passes; ++pass) {
    if (pass > 0) {
      for (auto& [layer, calibrator] : calibrators) calibrator.begin_second_pass();
    }
    for (std::size_t sample = 0; sample < samples.count; ++sample) {
      samples.run(sample);
      for (auto& [layer, calibrator] : calibrators) calibrator.end_batch();
      if (after_sample) after_sample(pass * samples.count + sample + 1, passes * samples.count);
    }
  }
  return calibrators;
}

CalibratedMaps calibrate(
    const ModelInfo& info, ImageClassifier& model, const ImageDataset& data, const Override& maps,
    const CalibrationMethod& method,
    const std::function<void(std::size_t done, std::size_t all)>& after_image) {
  std::vector<std::string> layers;
  const std::vector<LayerSummary> rows = summary(model);
  for (const LayerSummary& row : rows) {
    const std::string& layer = row.layer;
    const auto quantizer = maps.extrinsic.find({layer, row.type});
    if (quantizer == nullptr || !can_be_calibrated(*quantizer)) continue;
    check_calibration(method, *quantizer, output_of(layer));
    layers.push_back(layer);
  }
  if (layers.empty()) {
    throw Error(
        "no layer has an extrinsic quantizer to calibrate, such as 'int,8,scale=max': a rule that "
        "finds one scale in the whole tensor");
  }
  apply(model, {});
  const std::map<std::string, Calibrator> found =
      observe_outputs(sample_runs(info, model, data), method, layers, after_image);

  CalibratedMaps result;
  result.maps = maps;
  result.maps.extrinsic = QuantizerMap({}, MapKind::extrinsic);
  for (const LayerSummary& row : rows) {
    const std::string& layer = row.layer;
    std::shared_ptr<const Quantizer> quantizer = maps.extrinsic.find({layer, row.type});
    if (quantizer == nullptr) continue;
    if (const auto calibrator = found.find(layer); calibrator != found.end()) {
      const Summary& summary = calibrator->second.summary();
      if (summary.nan + summary.infinite > 0) {
        result.warnings.push_back(output_of(layer) + " had " + counts_of(summary) +
                                  ", which were left out");
      }
      if (auto fixed = calibrated(*quantizer, calibrator->second, output_of(layer))) {
        quantizer = std::move(fixed);
      } else {
        result.warnings.push_back(output_of(layer) + " was 0 throughout: its rule stays '" +
                                  quantizer->spec() + "'");
      }
    }
    result.maps.extrinsic.add("=" + layer, std::move(quantizer));
  }
  return result;
}

}  // namespace tensorquant
