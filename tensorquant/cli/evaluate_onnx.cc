#include "tensorquant/cli/evaluate_onnx.h"

#include <ATen/ATen.h>

#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/base/sha256.h"
#include "tensorquant/cli/interrupt.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/layer_difference.h"
#include "tensorquant/cli/output_report.h"
#include "tensorquant/cli/progress.h"
#include "tensorquant/cli/range_table.h"
#include "tensorquant/cli/trace_writer.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/libtorch/model/steps.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/models/evaluation.h"
#include "tensorquant/models/tensor_array.h"
#include "tensorquant/onnx/export/kept_maps.h"
#include "tensorquant/onnx_torch/onnx_model.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;
using Outputs = std::vector<OnnxData::Tensors>;  // of each run

// Before anything is computed.
void make_folder(const std::string& folder) {
  if (folder.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(folder + ": cannot be a folder for the outputs: " + error.message());
}

Outputs run_all(OnnxModel& model, const OnnxData& data, const char* how) {
  const Interrupt interrupt;
  Progress progress(data.runs());
  Outputs outputs;
  for (std::size_t run = 0; run < data.runs(); ++run) {
    interrupt.check();
    set_inference_step(model, static_cast<std::uint32_t>(run));
    outputs.push_back(model.forward(data.inputs(run)));
    progress.update(run + 1, std::string(how) + ": run " + std::to_string(run + 1) + "/" +
                                 std::to_string(data.runs()));
  }
  set_inference_step(model, 0);
  return outputs;
}

// The output of all runs, one behind the other.
at::Tensor joined(const Outputs& outputs, std::size_t index, const std::string& name) {
  OnnxData::Tensors parts;
  for (const OnnxData::Tensors& run : outputs) parts.push_back(run[index]);
  if (parts.size() == 1) return parts.front();
  for (const at::Tensor& part : parts) {
    const bool fits = part.dim() > 0 && part.dim() == parts.front().dim() &&
                      part.sizes().slice(1).equals(parts.front().sizes().slice(1));
    if (!fits) {
      throw Error("output '" + name +
                  "' of several runs has no rows that make one array; run all "
                  "at once, with --batch-size");
    }
  }
  return at::cat(parts);
}

// An output that cannot be written is an error before the first one is. Truth values are 0 and 1.
void save_outputs(const std::string& folder, const OnnxModel& model, const Outputs& outputs) {
  if (folder.empty()) return;
  std::vector<Array> arrays;
  for (std::size_t i = 0; i < model.output_names().size(); ++i) {
    const at::Tensor output = joined(outputs, i, model.output_names()[i]);
    try {
      arrays.push_back(to_array(output.scalar_type() == at::kBool ? output.to(at::kByte) : output));
    } catch (const Error& error) {
      throw Error("output '" + model.output_names()[i] + "': " + error.what());
    }
  }
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    write_npy(std::filesystem::path(folder) / ("output_" + std::to_string(i) + ".npy"), arrays[i]);
  }
}

std::vector<OutputReport> compare(const OnnxModel& model, const Outputs& found,
                                  const Outputs& expected) {
  std::vector<OutputReport> reports;
  for (std::size_t i = 0; i < model.output_names().size(); ++i) {
    OutputReport& report = reports.emplace_back(model.output_names()[i]);
    for (std::size_t run = 0; run < found.size(); ++run) {
      if (i < expected[run].size()) report.add(found[run][i], expected[run][i]);
    }
  }
  return reports;
}

Trace trace_first_run(OnnxModel& model, const OnnxData& data) {
  return trace(model, [&] { model.forward(data.inputs(0)); });
}

std::vector<LayerDifference> differences(const Trace& found, const Trace& expected) {
  std::vector<LayerDifference> all;
  for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    if (!found[i].second.is_floating_point()) continue;
    const at::Tensor a = expected[i].second.to(at::kFloat).contiguous();
    const at::Tensor b = found[i].second.to(at::kFloat).contiguous();
    const auto count = static_cast<std::size_t>(a.numel());
    all.push_back(difference_of(found[i].first, std::span<const float>(a.data_ptr<float>(), count),
                                std::span<const float>(b.data_ptr<float>(), count)));
  }
  return all;
}

Metric metric_of(const std::string& name, const at::Tensor& labels) {
  if (name == "none") return Metric::none;
  if (!labels.defined()) {
    if (name.empty()) return Metric::none;
    throw CLI::ValidationError("--metric", "'" + name + "' needs labels");
  }
  if (name.empty()) return labels.is_floating_point() ? Metric::mse : Metric::top1;
  return name == "mse" ? Metric::mse : name == "top5" ? Metric::top5 : Metric::top1;
}

const char* name_of(Metric metric) {
  return metric == Metric::mse    ? "mse"
         : metric == Metric::top5 ? "top5"
         : metric == Metric::top1 ? "top1"
                                  : "none";
}

// What the file says of itself.
struct FileFacts {
  std::string sha256, producer;
  std::vector<onnx::OperatorSet> operator_sets;
};

ordered_json operator_sets_of(const FileFacts& file) {
  ordered_json sets = ordered_json::object();
  for (const onnx::OperatorSet& set : file.operator_sets) {
    sets[set.domain.empty() ? "ai.onnx" : set.domain] = set.version;
  }
  return sets;
}

struct Results {
  FileFacts file;
  std::size_t samples = 0, batch_size = 0;
  Metric metric = Metric::none;
  double value = 0, value_in_float = 0;  // of the metric
  std::vector<OutputReport> outputs, stored;
  std::vector<std::string> exact_layers;
  std::vector<LayerSummary> layers;
  std::vector<LayerDifference> differences;
  std::vector<LayerPlaceReport> places;
  std::vector<LayerKernelUse> kernels;
  std::vector<LayerRangeReport> ranges;
};

void print_json(const OnnxEvaluation& options, const OnnxEvaluation::Command& command,
                const Override& maps, const Results& results) {
  ordered_json metric = nullptr;
  if (results.metric != Metric::none) {
    metric = {{"name", name_of(results.metric)},
              {"value", results.value},
              {"float", results.value_in_float}};
  }
  ordered_json report = {{"model", command.model},
                         {"sha256", results.file.sha256},
                         {"operator_sets", operator_sets_of(results.file)},
                         {"producer", results.file.producer},
                         {"samples", results.samples},
                         {"batch_size", results.batch_size},
                         {"seed", command.data.seed},
                         {"maps", to_json(maps)},
                         {"sums", options.sums},
                         {"exact_layers", results.exact_layers},
                         {"metric", metric},
                         {"outputs", OutputReport::json(results.outputs)},
                         {"layers", to_json(results.layers)},
                         {"kernels", to_json(results.kernels)}};
  if (!results.stored.empty()) report["stored"] = OutputReport::json(results.stored);
  if (options.layers) report["differences"] = to_json(results.differences);
  if (command.ranges) {
    report["places"] = to_json(results.places);
    report["ranges"] = to_json(results.ranges);
  }
  print(report);
}

std::string text_of(Metric metric, double value) {
  char text[32];
  const bool is_share = metric != Metric::mse;
  std::snprintf(text, sizeof text, is_share ? "%.2f %%" : "%.6g", is_share ? 100 * value : value);
  return text;
}

void print_table(const OnnxEvaluation& options, const OnnxEvaluation::Command& command,
                 const Override& maps, const Results& results) {
  if (!maps.empty()) std::printf("%s\n", to_table(results.layers).c_str());
  if (!results.places.empty()) std::printf("%s\n", to_table(results.places).c_str());
  if (!results.ranges.empty()) std::printf("%s\n", to_table(results.ranges).c_str());
  if (options.layers) std::printf("%s\n", to_table(results.differences).c_str());
  if (!results.stored.empty()) {
    std::printf("against the stored outputs\n%s\n", OutputReport::table(results.stored).c_str());
  }
  std::printf("against float\n%s\n", OutputReport::table(results.outputs).c_str());
  if (results.metric != Metric::none) {
    std::printf("%-8s %s, in float %s\n", name_of(results.metric),
                text_of(results.metric, results.value).c_str(),
                text_of(results.metric, results.value_in_float).c_str());
  }
  std::printf("samples  %zu\n", results.samples);
  std::printf("model    %s\n", command.model.c_str());
  std::printf("maps     %s\n", maps.empty() ? "none" : maps.to_json().c_str());
  std::printf("sums     %s, %zu layers of integers\n", options.sums.c_str(),
              results.exact_layers.size());
  std::printf("seed     %llu\n", static_cast<unsigned long long>(command.data.seed));
}

}  // namespace

void OnnxEvaluation::add_to(CLI::App& command) {
  const char* group = "ONNX files";
  data.add_to(command);
  names_of_nodes.add_to(command);
  command
      .add_option("--metric", metric,
                  "What is made of the first output and the labels; top1 of classes and mse of "
                  "other numbers if left out")
      ->check(CLI::IsMember({"top1", "top5", "mse", "none"}))
      ->group(group);
  command.add_flag("--layers", layers, "Compare each layer's output with that in float, first run")
      ->group(group);
  command
      .add_option("--save-outputs", outputs,
                  "Write the outputs into this folder: output_0.npy, output_1.npy ...")
      ->group(group);
  command
      .add_option("--sums", sums,
                  "Of factors that stand for integers: exact, or float as the file says")
      ->check(CLI::IsMember({"exact", "float"}))
      ->capture_default_str()
      ->group(group);
}

std::vector<const char*> OnnxEvaluation::names() {
  std::vector<const char*> all = OnnxDataOptions::names();
  all.insert(all.end(), {"--names", "--metric", "--layers", "--save-outputs", "--sums"});
  return all;
}

void OnnxEvaluation::run(const Command& command) const {
  const at::NoGradGuard no_gradients;
  Results results;
  results.file.sha256 = sha256(read_file(command.model));
  onnx::ModelProto file = onnx::read_model(command.model);
  results.file.producer =
      file.producer_name + (file.producer_version.empty() ? "" : " ") + file.producer_version;
  results.file.operator_sets = file.operator_sets;
  const std::optional<Override> kept = onnx::take_maps(file, command.model);
  const Override override_maps = maps_of_file(command.maps, command.data.seed, kept, command.model);
  const std::shared_ptr<OnnxModel> network =
      make_onnx_model(std::move(file), command.model,
                      {names_of_nodes.source(), sums == "exact" ? Sums::exact : Sums::floats});
  results.exact_layers = network->exact_layers();
  for (const std::string& warning : network->warnings()) warn(warning);
  const OnnxData samples = data.read(*network, command.data);
  results.samples = samples.samples();
  results.batch_size = samples.batch_size();
  results.metric = metric_of(metric, samples.labels());
  if (!command.trace.empty()) require_trace_folder(command.trace);
  make_folder(outputs);

  const Outputs expected = run_all(*network, samples, "float");
  const Trace float_trace = layers ? trace_first_run(*network, samples) : Trace();
  const ApplyReport applied = tensorquant::apply(network, override_maps);
  for (const std::string& warning : applied.warnings) warn(warning);
  record_ranges(network, command.ranges);
  const Outputs found =
      override_maps.empty() ? expected : run_all(*network, samples, "under the maps");
  results.places = place_reports(network);
  results.ranges = tensorquant::ranges(network);
  results.kernels = kernel_uses(network);
  record_ranges(network, false);

  if (layers) results.differences = differences(trace_first_run(*network, samples), float_trace);
  if (results.metric != Metric::none) {
    const std::string& first = network->output_names().front();
    results.value = score(results.metric, joined(found, 0, first), samples.labels());
    results.value_in_float = score(results.metric, joined(expected, 0, first), samples.labels());
  }
  results.outputs = compare(*network, found, expected);
  if (!samples.stored_outputs().empty()) {
    results.stored = compare(*network, found, samples.stored_outputs());
  }
  results.layers = summary(network);
  save_outputs(outputs, *network, found);
  if (!command.trace.empty()) write_trace(command.trace, trace_first_run(*network, samples));
  command.as_json ? print_json(*this, command, override_maps, results)
                  : print_table(*this, command, override_maps, results);
}

}  // namespace tensorquant::cli
