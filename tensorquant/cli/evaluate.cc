#include <cstdio>
#include <memory>
#include <string>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/evaluate_onnx.h"
#include "tensorquant/cli/evaluation_requests.h"
#include "tensorquant/cli/interrupt.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/load_weights.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/numeric_libraries.h"
#include "tensorquant/cli/onnx_layers.h"
#include "tensorquant/cli/progress.h"
#include "tensorquant/cli/range_table.h"
#include "tensorquant/cli/trace_writer.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/models/evaluation.h"
#include "tensorquant/models/tensor_array.h"

namespace tensorquant::cli {
namespace {

struct EvaluateOptions {
  std::string model, checkpoint, logits, trace;
  OnnxEvaluation onnx;
  DataOptions data;
  MapOptions maps;
  ThreadOptions threads;
  std::size_t batch_size = 128;
  std::uint64_t seed = 0;
  bool ranges = false, requests = false;
  bool as_json = false;
};

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * share);
  return text;
}

// What is NaN or infinite in a run.
struct NonFiniteNumbers {
  NonFinite weights;
  std::size_t images = 0;  // with such logits
  std::string layer;       // the first with such an output; "" where no layer has one
};

// What --ranges shows.
struct Ranges {
  std::vector<LayerPlaceReport> places;
  std::vector<LayerRangeReport> arithmetic;
};

nlohmann::ordered_json report_of(const NonFiniteNumbers& numbers) {
  return {{"weights", to_json(numbers.weights)},
          {"images", numbers.images},
          {"layer", numbers.layer.empty() ? nlohmann::ordered_json(nullptr)
                                          : nlohmann::ordered_json(numbers.layer)}};
}

void print_table(const EvaluateOptions& options, const Evaluation& result, const Override& maps,
                 const std::vector<LayerSummary>& layers, const Ranges& ranges) {
  if (!maps.empty()) std::printf("%s\n", to_table(layers).c_str());
  if (!ranges.places.empty()) std::printf("%s\n", to_table(ranges.places).c_str());
  if (!ranges.arithmetic.empty()) std::printf("%s\n", to_table(ranges.arithmetic).c_str());
  std::printf("accuracy    %s (%zu of %zu images)\n", percent(result.accuracy()).c_str(),
              result.correct, result.images);
  std::printf("model       %s\n", options.model.c_str());
  std::printf("checkpoint  %s\n", options.checkpoint.c_str());
  std::printf("data        %s\n", options.data.path.c_str());
  std::printf("maps        %s\n", maps.empty() ? "none" : maps.to_json().c_str());
  std::printf("seed        %llu\n", static_cast<unsigned long long>(options.seed));
  std::printf("seconds     %.2f, %d threads\n", result.seconds, options.threads.threads);
  std::printf("%s", to_text(numeric_libraries(), 12).c_str());
}

void print_json(const EvaluateOptions& options, const Evaluation& result, const Override& maps,
                const std::vector<LayerSummary>& layers, const std::vector<LayerKernelUse>& kernels,
                const Ranges& ranges, const NonFiniteNumbers& non_finite) {
  nlohmann::ordered_json report = {{"accuracy", result.accuracy()},
                                   {"correct", result.correct},
                                   {"images", result.images},
                                   {"seconds", result.seconds},
                                   {"model", options.model},
                                   {"checkpoint", options.checkpoint},
                                   {"data", options.data.path},
                                   {"seed", options.seed},
                                   {"batch_size", options.batch_size},
                                   {"threads", options.threads.threads},
                                   {"libraries", to_json(numeric_libraries())},
                                   {"non_finite", report_of(non_finite)},
                                   {"maps", to_json(maps)},
                                   {"layers", to_json(layers)},
                                   {"kernels", to_json(kernels)}};
  if (options.ranges) {
    report["places"] = to_json(ranges.places);
    report["ranges"] = to_json(ranges.arithmetic);
  }
  print(report);
}

// What requests may leave out: what the command line says.
void serve(const CLI::App& command, const EvaluateOptions& options) {
  const std::string reason = "is not for --requests, which say it themselves";
  refuse_options(command, OnnxEvaluation::names(), reason);
  refuse_options(command,
                 {"--logits", "--trace", "--ranges", "--json", "--maps", "--weights", "--extrinsic",
                  "--intrinsic", "--strict", "--seed"},
                 reason);
  options.threads.set_up();
  nlohmann::ordered_json defaults = {{"batch_size", options.batch_size}};
  if (!options.model.empty()) defaults["model"] = options.model;
  if (!options.checkpoint.empty()) defaults["checkpoint"] = options.checkpoint;
  if (!options.data.path.empty()) {
    defaults["data"] = {{"path", options.data.path}, {"images", options.data.limit}};
  }
  serve_requests(defaults);
}

void run(const CLI::App& command, EvaluateOptions& options) {
  if (options.requests) return serve(command, options);
  if (options.model.empty()) throw CLI::RequiredError("--model");
  if (is_onnx_file(options.model)) {
    refuse_options(command, {"--checkpoint", "--logits"}, "is not for ONNX files");
    options.threads.set_up();
    OnnxEvaluation::Command given;
    given.model = options.model;
    given.trace = options.trace;
    given.data.data = options.data.path;
    given.data.limit = options.data.limit;
    given.data.batch_size = options.batch_size;
    given.data.seed = options.seed;
    given.maps = options.maps;
    given.ranges = options.ranges;
    given.as_json = options.as_json;
    options.onnx.run(given);
    return;
  }
  refuse_options(command, OnnxEvaluation::names(), "is for ONNX files");
  if (options.checkpoint.empty()) throw CLI::RequiredError("--checkpoint");
  const Interrupt interrupt;
  options.threads.set_up();
  const ModelInfo& info = find_model(options.model);
  const Override maps = options.maps.read(options.seed);
  // Faults of the outputs' places show before the work, not after it.
  if (!options.trace.empty()) require_trace_folder(options.trace);
  if (!options.logits.empty()) {
    if (!options.logits.ends_with(".npy")) {
      throw CLI::ValidationError("--logits", options.logits + ": the extension must be .npy");
    }
    AtomicFile probe(options.logits);
  }

  const std::shared_ptr<ImageClassifier> model = make_model(info);
  apply_maps(*model, maps);
  NonFiniteNumbers non_finite;
  non_finite.weights = load_weights(*model, options.checkpoint);
  record_ranges(model, options.ranges);
  const ImageDataset data = options.data.load(info, Split::test);

  Evaluation result;
  {
    Progress progress(data.count);
    result = evaluate(info, *model, data, options.batch_size, [&](const Evaluation& so_far) {
      interrupt.check();
      progress.update(so_far.images, "image " + std::to_string(so_far.images) + "/" +
                                         std::to_string(data.count) + "  accuracy " +
                                         percent(so_far.accuracy()));
    });
  }
  // Of these images alone.
  const Ranges recorded = {place_reports(model), ranges(model)};
  const std::vector<LayerKernelUse> kernels = kernel_uses(model);
  non_finite.images = result.non_finite_images();
  if (non_finite.images > 0) {
    non_finite.layer = first_non_finite_layer(info, *model, data, options.batch_size, result);
    warn("NaN or infinite logits: those of " + std::to_string(non_finite.images) + " of " +
         std::to_string(result.images) + " images" +
         (non_finite.layer.empty()
              ? ""
              : "; the first layer with such an output is '" + non_finite.layer + "'"));
  }
  if (!options.trace.empty()) {
    write_trace(options.trace, trace_first_batch(info, *model, data, options.batch_size));
  }
  if (!options.logits.empty()) write_npy(options.logits, to_array(result.logits));
  const std::vector<LayerSummary> layers = summary(model);
  options.as_json ? print_json(options, result, maps, layers, kernels, recorded, non_finite)
                  : print_table(options, result, maps, layers, recorded);
}

}  // namespace

void add_evaluate(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "evaluate", "Measure a network's accuracy, with quantizers in its layers or without");
  auto options = std::make_shared<EvaluateOptions>();
  add_model_or_file(*command, options->model);
  command->add_option(
      "--checkpoint", options->checkpoint,
      "Weights, a safetensors file; F16, BF16 and F64 are made float32; an ONNX file has its own");
  options->data.add_to(*command, "t10k-*")
      ->description(
          DataOptions::text("t10k-*") +
          "; for an ONNX file also .npy, .npz with the names of its inputs, or a folder of "
          "test_data_set_*");
  add_batch_size(*command, options->batch_size);
  add_seed(*command, options->seed)->description("Seed of random rounding");
  command->add_option("--logits", options->logits, "Write the logits, (images, classes), as .npy");
  command->add_option("--trace", options->trace,
                      "Write each layer's output for the first batch into this folder");
  command->add_flag(
      "--ranges", options->ranges,
      "Report the bits a value of each quantizer, what saturated and what became zero; "
      "and what was clamped inside the layers of the intrinsic map, and the "
      "accumulator bits that would have been enough. Takes longer");
  command->add_flag("--requests", options->requests,
                    "Answer requests on stdin, a line of JSON each, with the measures of a search, "
                    "a line each on stdout: docs/clusters.md");
  options->threads.add_to(*command);
  add_json(*command, options->as_json);
  options->maps.add_to(*command);
  options->onnx.add_to(*command);
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace tensorquant::cli
