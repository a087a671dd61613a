#include "tensorquant/cli/evaluate_onnx.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/models/tensor_array.h"
#include "tensorquant/onnx_torch/onnx_model.h"

namespace tensorquant::cli {
namespace {

// An output under the maps beside the same in float.
struct OutputReport {
  std::string name, shape;
  double largest_difference = 0;
  std::optional<double> decibels;   // signal to noise; nothing where they are equal, or no floats
  std::optional<double> agreement;  // share of rows whose largest number stands at one place
};

std::string input_names(const OnnxModel& model) {
  std::string names;
  for (const OnnxModel::Port& input : model.inputs()) {
    names += (names.empty() ? "'" : ", '") + input.name + "'";
  }
  return names;
}

// The inputs in the model's order. Names may hold '='.
std::vector<at::Tensor> read_inputs(const OnnxModel& model, const std::vector<std::string>& given) {
  std::vector<at::Tensor> inputs(model.inputs().size());
  for (const std::string& text : given) {
    const auto is_meant = [&](const OnnxModel::Port& one) {
      return text.starts_with(one.name + "=");
    };
    const auto found = std::find_if(model.inputs().begin(), model.inputs().end(), is_meant);
    if (found == model.inputs().end()) {
      throw CLI::ValidationError(
          "--input", "'" + text + "': expected NAME=FILE.npy with one of " + input_names(model));
    }
    at::Tensor& input = inputs[static_cast<std::size_t>(found - model.inputs().begin())];
    if (input.defined()) {
      throw CLI::ValidationError("--input", "'" + found->name + "' is given twice");
    }
    const std::string path = text.substr(found->name.size() + 1);
    try {
      input = to_tensor(read_npy(path));
    } catch (const Error& error) {
      const std::string reason = error.what();
      throw Error(reason.starts_with(path) ? reason : path + ": " + reason);
    }
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) {
      throw CLI::ValidationError("--input", "the model's input '" + model.inputs()[i].name +
                                                "' is not given; it has " + input_names(model));
    }
  }
  return inputs;
}

// Of numbers of any type; integers are compared as they are.
double largest_difference(const at::Tensor& found, const at::Tensor& expected) {
  if (found.is_floating_point()) {
    return (found.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
  }
  const at::Tensor a = found.to(at::kLong), b = expected.to(at::kLong);
  const at::Tensor difference = at::maximum(a, b) - at::minimum(a, b);  // modulo 2^64
  const at::Tensor number = difference.to(at::kDouble);
  return at::where(difference < 0, number + 0x1p64, number).max().item<double>();
}

OutputReport compare(const std::string& name, const at::Tensor& found, const at::Tensor& expected) {
  OutputReport report;
  report.name = name;
  report.shape = onnx::to_string({found.sizes().data(), found.sizes().size()});
  if (found.numel() == 0) return report;
  report.largest_difference = largest_difference(found, expected);
  if (!found.is_floating_point()) return report;
  const at::Tensor wanted = expected.to(at::kDouble), noise = found.to(at::kDouble) - wanted;
  const double power = wanted.square().sum().item<double>();
  const double noise_power = noise.square().sum().item<double>();
  if (noise_power > 0 && power > 0) report.decibels = 10 * std::log10(power / noise_power);
  if (found.dim() > 1) {
    const at::Tensor same = found.argmax(-1) == expected.argmax(-1);
    report.agreement = same.to(at::kDouble).mean().item<double>();
  }
  return report;
}

std::string number_or_dash(const std::optional<double>& x, const char* format) {
  char text[32] = "-";
  if (x) std::snprintf(text, sizeof text, format, *x);
  return text;
}

std::string output_table(const std::vector<OutputReport>& reports) {
  std::vector<std::vector<std::string>> rows;
  for (const OutputReport& one : reports) {
    std::optional<double> share = one.agreement;
    if (share) *share *= 100;
    rows.push_back({one.name, one.shape, number_or_dash(one.largest_difference, "%.6g"),
                    number_or_dash(one.decibels, "%.2f dB"), number_or_dash(share, "%.2f %%")});
  }
  return format_table({"output", "shape", "largest difference", "signal to noise", "first place"},
                      rows);
}

nlohmann::ordered_json output_json(const std::vector<OutputReport>& reports) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const OutputReport& one : reports) {
    rows.push_back({{"output", one.name},
                    {"shape", one.shape},
                    {"largest_difference", one.largest_difference},
                    {"signal_to_noise", or_null(one.decibels)},
                    {"agreement", or_null(one.agreement)}});
  }
  return rows;
}

// Before anything is computed.
void make_folder(const std::string& folder) {
  if (folder.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(folder + ": cannot be a folder for the outputs: " + error.message());
}

// As arrays of the types that files have; truth values are 0 and 1. Error that names the output.
std::vector<Array> to_arrays(const OnnxModel& model, const std::vector<at::Tensor>& outputs) {
  std::vector<Array> arrays;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const at::Tensor& output = outputs[i];
    try {
      arrays.push_back(to_array(output.scalar_type() == at::kBool ? output.to(at::kByte) : output));
    } catch (const Error& error) {
      throw Error("output '" + model.output_names()[i] + "': " + error.what());
    }
  }
  return arrays;
}

void save_outputs(const std::string& folder, const OnnxModel& model,
                  const std::vector<at::Tensor>& found) {
  if (folder.empty()) return;
  // An output that cannot be written is an error before the first one is.
  const std::vector<Array> outputs = to_arrays(model, found);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    write_npy(std::filesystem::path(folder) / ("output_" + std::to_string(i) + ".npy"), outputs[i]);
  }
}

}  // namespace

void OnnxEvaluation::add_to(CLI::App& command) {
  const char* group = "ONNX files";
  command
      .add_option("--input", inputs,
                  "One input of the model, as often as it has inputs: NAME=FILE.npy")
      ->take_all()
      ->allow_extra_args(false)
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

void evaluate_onnx(const std::string& model, const OnnxEvaluation& options, const MapOptions& maps,
                   std::uint64_t seed, bool as_json) {
  const Override override_maps = maps.read(seed);
  const at::NoGradGuard no_gradients;
  const std::shared_ptr<OnnxModel> network =
      load_onnx(model, options.sums == "exact" ? Sums::exact : Sums::floats);
  for (const std::string& warning : network->warnings()) warn(warning);
  std::vector<at::Tensor> inputs = read_inputs(*network, options.inputs);
  make_folder(options.outputs);
  const std::vector<at::Tensor> expected = network->forward(inputs);
  const ApplyReport applied = tensorquant::apply(network, override_maps);
  for (const std::string& warning : applied.warnings) warn(warning);
  for (at::Tensor& input : inputs) {
    if (input.is_floating_point()) input = applied.input(input, 0);
  }
  const std::vector<at::Tensor> found =
      override_maps.empty() ? expected : network->forward(std::move(inputs));
  save_outputs(options.outputs, *network, found);

  std::vector<OutputReport> reports;
  for (std::size_t i = 0; i < found.size(); ++i) {
    reports.push_back(compare(network->output_names()[i], found[i], expected[i]));
  }
  const std::vector<LayerSummary> layers = summary(network);
  if (as_json) {
    print({{"model", model},
           {"seed", seed},
           {"maps", to_json(override_maps)},
           {"sums", options.sums},
           {"exact_layers", network->exact_layers()},
           {"outputs", output_json(reports)},
           {"layers", to_json(layers)}});
    return;
  }
  if (!override_maps.empty()) std::printf("%s\n", to_table(layers).c_str());
  std::printf("%s\n", output_table(reports).c_str());
  std::printf("model  %s\n", model.c_str());
  std::printf("maps   %s\n", override_maps.empty() ? "none" : override_maps.to_json().c_str());
  std::printf("sums   %s, %zu layers of integers\n", options.sums.c_str(),
              network->exact_layers().size());
  std::printf("seed   %llu\n", static_cast<unsigned long long>(seed));
}

}  // namespace tensorquant::cli
