#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/float_array.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/layer_difference.h"
#include "tensorquant/cli/trace.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

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

void print_table(const std::vector<LayerDifference>& differences, const LayerDifference* first) {
  std::printf("%s", to_table(differences).c_str());
  std::printf("\n%s\n",
              first == nullptr
                  ? "All layers are equal."
                  : ("The first layer that differs is " + one_line(first->layer) + ".").c_str());
}

void print_json(const std::vector<LayerDifference>& differences, const LayerDifference* first) {
  print(
      {{"first_difference", first == nullptr ? ordered_json(nullptr) : ordered_json(first->layer)},
       {"layers", to_json(differences)}});
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
