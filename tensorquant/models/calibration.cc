#include "tensorquant/models/calibration.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/calibration/calibrated.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/walk.h"

namespace tensorquant {
namespace {

template <class T>
void observe_as(const at::Tensor& output, Calibrator& calibrator) {
  const at::Tensor values = output.to(c10::CppTypeToScalarType<T>::value).contiguous();
  calibrator.observe(
      std::span<const T>(values.data_ptr<T>(), static_cast<std::size_t>(values.numel())));
}

void observe(const at::Tensor& output, Calibrator& calibrator) {
  const bool is_double = output.scalar_type() == at::kDouble;
  is_double ? observe_as<double>(output, calibrator) : observe_as<float>(output, calibrator);
}

std::string output_of(const ModelLayer& layer) {
  const bool is_input = layer.kind == NamedLayer::Kind::input;
  return (is_input ? "the model's " : "the output of ") + layer.name();
}

std::string counts_of(const Summary& summary) {
  return std::to_string(summary.nan) + " NaN and " + std::to_string(summary.infinite) +
         " infinities";
}

// The quantizer from now on; why not another one goes to the warnings.
std::shared_ptr<const Quantizer> with_numbers(const std::shared_ptr<const Quantizer>& quantizer,
                                              const Calibrator& calibrator, const std::string& what,
                                              std::vector<std::string>& warnings) {
  const Summary& seen = calibrator.summary();
  const std::string stays = ": its rule stays '" + quantizer->spec() + "'";
  if (seen.finite + seen.nan + seen.infinite == 0) {
    warnings.push_back(what + " had no numbers that could be seen" + stays);
    return quantizer;
  }
  if (seen.nan + seen.infinite > 0) {
    warnings.push_back(what + " had " + counts_of(seen) + ", which were left out");
  }
  auto fixed = calibrated(*quantizer, calibrator, what);
  if (fixed == nullptr) {
    warnings.push_back(what + " was 0 throughout" + stays);
    return quantizer;
  }
  return fixed;
}

// Shows the outputs of layers to their calibrators, all of those that a layer has; takes the
// observers out again whatever happens.
class Watch {
 public:
  Watch(torch::nn::Module& model, std::map<std::string, Calibrator>& calibrators) {
    for (const ModelLayer& layer : layers_of(model)) {
      const auto found = calibrators.find(layer.name());
      if (found == calibrators.end() || layer.twin == nullptr) continue;
      const auto show = [&calibrator = found->second](const std::string&, const at::Tensor& x) {
        observe(x, calibrator);
      };
      layer.twin->set_observer(layer.name(), std::make_shared<const OutputObserver>(show));
      watched_.push_back(layer.twin);
    }
  }
  ~Watch() {
    for (QuantizableLayer* layer : watched_) layer->set_observer("", nullptr);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  std::vector<QuantizableLayer*> watched_;
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
    const std::function<void(std::size_t done, std::size_t all)>& after_run) {
  const at::NoGradGuard no_gradient;
  const OneThread one_thread;
  samples.model->eval();
  std::map<std::string, Calibrator> calibrators;
  for (const std::string& layer : layers) calibrators.emplace(layer, method);
  const Watch watch(*samples.model, calibrators);
  const auto passes = static_cast<std::size_t>(method.passes());
  for (std::size_t pass = 0; pass < passes; ++pass) {
    if (pass > 0) {
      for (auto& [layer, calibrator] : calibrators) calibrator.begin_second_pass();
    }
    for (std::size_t number = 0; number < samples.count; ++number) {
      samples.run(number);
      for (auto& [layer, calibrator] : calibrators) calibrator.end_batch();
      if (after_run) after_run(pass * samples.count + number + 1, passes * samples.count);
    }
  }
  return calibrators;
}

CalibratedMaps calibrate(const SampleRuns& samples, const Override& maps,
                         const CalibrationMethod& method,
                         const std::function<void(std::size_t done, std::size_t all)>& after_run) {
  const auto rule_of = [&](const ModelLayer& layer) {
    return maps.extrinsic.find({layer.name(), layer.type, layer.kind});
  };
  const std::vector<ModelLayer> all = layers_of(*samples.model);
  std::vector<std::string> layers;
  for (const ModelLayer& layer : all) {
    const auto quantizer = rule_of(layer);
    if (quantizer == nullptr || !can_be_calibrated(*quantizer)) continue;
    check_calibration(method, *quantizer, output_of(layer));
    layers.push_back(layer.name());
  }
  if (layers.empty()) {
    throw Error(
        "no layer has an extrinsic quantizer to calibrate, such as 'int,8,scale=max': a rule that "
        "finds one scale in the whole tensor");
  }
  apply(*samples.model, {});
  const std::map<std::string, Calibrator> found =
      observe_outputs(samples, method, layers, after_run);

  CalibratedMaps result;
  result.maps = maps;
  result.maps.extrinsic = QuantizerMap({}, MapKind::extrinsic);
  for (const ModelLayer& layer : all) {
    std::shared_ptr<const Quantizer> quantizer = rule_of(layer);
    if (quantizer == nullptr) continue;
    if (const auto calibrator = found.find(layer.name()); calibrator != found.end()) {
      quantizer = with_numbers(quantizer, calibrator->second, output_of(layer), result.warnings);
    }
    result.maps.extrinsic.add("=" + layer.name(), std::move(quantizer));
  }
  return result;
}

}  // namespace tensorquant
