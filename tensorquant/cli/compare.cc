#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/float_array.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/trace.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

// How far the second tensor of a layer is from the first.
struct LayerDifference {
  std::string layer;
  std::size_t elements = 0;
  std::size_t differing = 0;
  double largest_error = 0;  // NaN where one side is NaN and the other is not
  std::optional<double> sqnr_db =
      {};  // signal-to-quantization-noise ratio; nothing where the noise is zero
};

template <class T>
LayerDifference difference_of(std::string layer, std::span<const T> a, std::span<const T> b) {
  LayerDifference d{std::move(layer), a.size()};
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    signal += static_cast<double>(a[i]) * a[i];
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    ++d.differing;
    const double error = std::abs(static_cast<double>(b[i]) - a[i]);
    noise += error * error;
    // A NaN stays the largest.
    if (!(error <= d.largest_error) && !std::isnan(d.largest_error)) d.largest_error = error;
  }
  if (noise != 0) d.sqnr_db = 10 * std::log10(signal / noise);
  return d;
}

LayerDifference compare_layer(const std::string& layer, const std::filesystem::path& a,
                              const std::filesystem::path& b) {
  const Array first = read_float_array(a);
  const Array second = read_float_array(b);
  if (first.dtype != second.dtype || first.shape != second.shape) {
    throw Error("layer '" + layer + "': " + a.string() + " holds " +
                std::string(name_of(first.dtype)) + to_string(first.shape) + ", " + b.string() +
                " " + std::string(name_of(second.dtype)) + to_string(second.shape));
  }
  if (first.dtype == DType::f64)
    return difference_of(layer, first.as<double>(), second.as<double>());
  return difference_of(layer, first.as<float>(), second.as<float>());
}

std::string decimal(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", x);
  return text;
}

void print_table(const std::vector<LayerDifference>& differences, const LayerDifference* first) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(differences.size());
  for (const LayerDifference& d : differences) {
    rows.push_back({d.layer, std::to_string(d.elements), std::to_string(d.differing),
                    decimal(d.largest_error), d.sqnr_db ? decimal(*d.sqnr_db) : "-"});
  }
  std::printf(
      "%s",
      format_table({"LAYER", "ELEMENTS", "DIFFERING", "LARGEST ERROR", "SQNR dB"}, rows).c_str());
  std::printf("\n%s\n",
              first == nullptr
                  ? "All layers are equal."
                  : ("The first layer that differs is " + one_line(first->layer) + ".").c_str());
}

void print_json(const std::vector<LayerDifference>& differences, const LayerDifference* first) {
  ordered_json layers = ordered_json::array();
  for (const LayerDifference& d : differences) {
    layers.push_back({{"layer", d.layer},
                      {"elements", d.elements},
                      {"differing", d.differing},
                      {"largest_error", d.largest_error},
                      {"sqnr_db", d.sqnr_db ? ordered_json(*d.sqnr_db) : ordered_json(nullptr)}});
  }
  print(
      {{"first_difference", first == nullptr ? ordered_json(nullptr) : ordered_json(first->layer)},
       {"layers", layers}});
}

void compare(const std::string& a, const std::string& b, bool as_json) {
  const std::vector<std::string> layers = read_trace_order(a);
  if (read_trace_order(b) != layers) {
    throw Error(a + " and " + b + " hold traces of different layers");
  }
  if (layers.empty()) throw Error(a + ": the trace holds no layer");
  std::vector<LayerDifference> differences;
  differences.reserve(layers.size());
  for (const std::string& layer : layers) {
    differences.push_back(compare_layer(layer, trace_file(a, layer), trace_file(b, layer)));
  }
  const auto found = std::find_if(differences.begin(), differences.end(),
                                  [](const LayerDifference& d) { return d.differing > 0; });
  const LayerDifference* first = found == differences.end() ? nullptr : &*found;
  as_json ? print_json(differences, first) : print_table(differences, first);
}

}  // namespace

void add_compare(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "compare",
      "Compare two traces of 'evaluate --trace DIR' and name the first layer that differs");
  command->footer("Errors and SQNR belong to the second trace, B; the first, A, is the signal.");
  struct Options {
    std::string a, b;
    bool as_json = false;
  };
  auto options = std::make_shared<Options>();
  command->add_option("A", options->a, "Folder of the first trace, for example of the float model")
      ->required();
  command->add_option("B", options->b, "Folder of the second trace")->required();
  command->add_flag("--json", options->as_json, "Print JSON");
  command->callback([options] { compare(options->a, options->b, options->as_json); });
}

}  // namespace tensorquant::cli
