#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/calibration/method.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/interrupt.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/model_runs.h"
#include "tensorquant/cli/onnx_layers.h"
#include "tensorquant/cli/progress.h"

namespace tensorquant::cli {
namespace {

struct CalibrateOptions {
  ModelRunsOptions runs;
  std::string output;
  std::string method = "minmax";
  MapOptions maps;
  ThreadOptions threads;
};

CalibrationMethod method_of(const std::string& text) {
  try {
    return make_calibration_method(text);
  } catch (const Error& error) {
    throw CLI::ValidationError("--method: " + std::string(error.what()));
  }
}

void calibrate(const CLI::App& command, const CalibrateOptions& options) {
  if (!is_onnx_file(options.runs.model)) {
    std::vector<const char*> of_files = OnnxDataOptions::names();
    of_files.insert(of_files.end(), {"--batch-size", "--names"});
    refuse_options(command, of_files, "is for ONNX files");
  }
  const Interrupt interrupt;
  options.threads.set_up();
  const CalibrationMethod method = method_of(options.method);
  if (!options.output.empty()) AtomicFile probe(options.output);
  const ModelRuns subject = make_runs(options.runs, &options.maps);

  CalibratedMaps result;
  {
    const std::size_t all = subject.samples.count * static_cast<std::size_t>(method.passes());
    Progress progress(all);
    result = tensorquant::calibrate(
        subject.samples, subject.maps, method, [&](std::size_t done, std::size_t /*all*/) {
          interrupt.check();
          progress.update(done, "run " + std::to_string(done) + "/" + std::to_string(all));
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
      "on the images alone, not on their order, but for the method average. Data of an ONNX file "
      "are those of evaluate.\n"
      "See docs/calibration.md.\n");
  auto options = std::make_shared<CalibrateOptions>();
  ModelRunsOptions& runs = options->runs;
  runs.data.limit = 512;
  add_model_or_file(*command, runs.model)->required();
  command->add_option("--checkpoint", runs.checkpoint,
                      "Weights, a safetensors file; an ONNX file has its own");
  options->maps.add_to(*command);
  command
      ->add_option("--method", options->method,
                   "minmax, average[=C], percentile[=P], mse or entropy")
      ->capture_default_str();
  runs.data.add_to(*command, "train-*");
  command->get_option("--limit")->capture_default_str();
  command->add_option("--output", options->output, "Where to write the maps; stdout if left out");
  options->threads.add_to(*command);
  runs.onnx.add_to(*command);
  runs.names.add_to(*command);
  add_batch_size(*command, runs.batch_size)
      ->description("Samples in a run; last bits of outputs can depend on it")
      ->group("ONNX files");
  command->callback([command, options] { calibrate(*command, *options); });
}

}  // namespace tensorquant::cli
