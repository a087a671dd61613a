#include <cstdio>
#include <memory>
#include <string>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/calibration/method.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/interrupt.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/load_weights.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/progress.h"
#include "tensorquant/models/calibration.h"

namespace tensorquant::cli {
namespace {

struct CalibrateOptions {
  std::string model, checkpoint, output;
  std::string method = "minmax";
  MapOptions maps;
  DataOptions data;
  ThreadOptions threads;
};

CalibrationMethod method_of(const std::string& text) {
  try {
    return make_calibration_method(text);
  } catch (const Error& error) {
    throw CLI::ValidationError("--method: " + std::string(error.what()));
  }
}

void calibrate(CalibrateOptions options) {
  const Interrupt interrupt;
  options.threads.set_up();
  const CalibrationMethod method = method_of(options.method);
  const Override maps = options.maps.read(0);
  if (!options.output.empty()) AtomicFile probe(options.output);
  const ModelInfo& info = find_model(options.model);
  const std::shared_ptr<ImageClassifier> model = make_model(info);
  apply_maps(*model, maps);  // faults of the maps first
  load_weights(*model, options.checkpoint);
  const ImageDataset data = options.data.load(info, Split::train);

  CalibratedMaps result;
  {
    Progress progress(data.count * static_cast<std::size_t>(method.passes()));
    result = tensorquant::calibrate(
        info, *model, data, maps, method, [&](std::size_t done, std::size_t all) {
          interrupt.check();
          progress.update(done, "image " + std::to_string(done) + "/" + std::to_string(all));
        });
  }
  for (const std::string& warning : result.warnings) warn(warning);
  const std::string text = to_json(result.maps).dump(2) + "\n";
  if (options.output.empty()) {
    std::printf("%s", text.c_str());
  } else {
    write_file_atomically(options.output, text);
  }
}

}  // namespace

void add_calibrate(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "calibrate", "Run images and write maps with numbers in place of scales that outputs find");
  command->footer(
      "Reads maps whose extrinsic rules find one scale in a whole output, such as "
      "int,8,unsigned,scale=max or int,8,scale=range,\n"
      "and writes a --maps file in which each layer has its own number: "
      "int,8,unsigned,scale=0.0235. Weights keep their rules,\n"
      "whose scale is a function of the weight. The network runs without quantizers, an image at a "
      "time: the result depends\n"
      "on the images alone, not on their order, but for the method average. See "
      "docs/calibration.md.\n");
  auto options = std::make_shared<CalibrateOptions>();
  options->data.limit = 512;
  add_model(*command, options->model)->required();
  command->add_option("--checkpoint", options->checkpoint, "Weights, a safetensors file")
      ->required();
  options->maps.add_to(*command);
  command
      ->add_option("--method", options->method,
                   "minmax, average[=C], percentile[=P], mse or entropy")
      ->capture_default_str();
  options->data.add_to(*command, "train-*");
  command->get_option("--limit")->capture_default_str();
  command->add_option("--output", options->output, "Where to write the maps; stdout if left out");
  options->threads.add_to(*command);
  command->callback([options] { calibrate(*options); });
}

}  // namespace tensorquant::cli
