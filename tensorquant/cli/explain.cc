#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/base/text.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/onnx_layers.h"
#include "tensorquant/cli/suggest.h"
#include "tensorquant/libtorch/model/apply.h"

namespace tensorquant::cli {
namespace {

struct ExplainOptions {
  std::string model, layers;
  MapOptions maps;
  SuggestOptions suggest;
  bool as_json = false;
};

// One name a line; empty lines and spaces around names do not count.
std::vector<std::string> read_names(const std::string& path) {
  const std::vector<std::byte> bytes = read_file(path);
  const std::string text(
      without_byte_order_mark({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path));
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string::npos) {
      names.push_back(line.substr(first, line.find_last_not_of(" \t\r") + 1 - first));
    }
    begin = end + 1;
  }
  if (names.empty()) throw Error(path + ": names no layer");
  return names;
}

// Whether the layers are those of a file, of which no model is built.
bool are_from_file(const ExplainOptions& options) {
  return options.model.empty() || is_onnx_file(options.model);
}

// The layers of an ONNX file that rules hit; none for another model.
std::vector<OnnxLayer> hit_layers(const std::string& model) {
  if (!is_onnx_file(model)) return {};
  std::vector<OnnxLayer> layers = read_onnx_layers(model);
  std::erase_if(layers, [](const OnnxLayer& layer) { return layer.moves; });
  return layers;
}

// A model's layers as apply() leaves them. Of a file's layers little is known but the names.
std::vector<LayerSummary> layers_of(const ExplainOptions& options, Override maps,
                                    const std::vector<OnnxLayer>& file) {
  std::vector<LayerSummary> layers;
  if (options.model.empty()) {
    for (std::string& name : read_names(options.layers)) {
      layers.emplace_back().layer = std::move(name);
    }
    return layers;
  }
  if (is_onnx_file(options.model)) {
    for (const OnnxLayer& layer : file) {
      LayerSummary& row = layers.emplace_back();
      row.layer = layer.name;
      row.type = layer.operator_type;
    }
    return layers;
  }
  const std::shared_ptr<ImageClassifier> model = make_model(find_model(options.model));
  maps.strict = false;  // explain_maps() reports the rules that do nothing
  apply(*model, maps);
  return summary(model);
}

std::string spec_of(const std::shared_ptr<const Quantizer>& quantizer) {
  return quantizer ? quantizer->spec() : "";
}

void fill(LayerSummary& layer, const LayerExplanation& chosen) {
  for (const auto& [map, rule] : {std::pair{"weights", chosen.weights},
                                  {"extrinsic", chosen.extrinsic},
                                  {"intrinsic", chosen.intrinsic}}) {
    if (rule == nullptr) continue;
    layer.rule += (layer.rule.empty() ? "" : ", ") + std::string(map) + " \"" +
                  rule->pattern.key() + "\" (" + rule->origin + ")";
  }
  if (chosen.weights) layer.weight = spec_of(chosen.weights->value.weight);
  if (chosen.weights) layer.bias = spec_of(chosen.weights->value.bias);
  if (chosen.extrinsic) layer.output = spec_of(chosen.extrinsic->value.output);
  if (chosen.intrinsic && chosen.intrinsic->value.product) {
    layer.intrinsic = chosen.intrinsic->text;  // JSON: a string, or an object with the parts
    std::erase(layer.intrinsic, '"');
  }
}

void explain_maps(const ExplainOptions& options) {
  const Override maps = options.maps.read(0);
  const std::vector<OnnxLayer> file = hit_layers(options.model);
  std::vector<LayerSummary> layers = layers_of(options, maps, file);
  std::vector<std::string> names;
  names.reserve(layers.size());
  for (const LayerSummary& layer : layers) names.push_back(layer.layer);
  const Explanation explanation = tensorquant::explain(maps, names);
  if (are_from_file(options)) {
    for (std::size_t i = 0; i < layers.size(); ++i) fill(layers[i], explanation.layers[i]);
    for (std::size_t i = 0; i < file.size(); ++i) {
      if (file[i].weight.empty()) layers[i].weight.clear();
      if (file[i].bias.empty()) layers[i].bias.clear();
    }
  }

  std::string faults;
  nlohmann::ordered_json idle = nlohmann::ordered_json::array();
  for (const IdleRule& rule : explanation.idle) {
    faults += (faults.empty() ? "" : "; ") + rule.message();
    idle.push_back({{"map", to_string(rule.kind)},
                    {"key", rule.rule->pattern.key()},
                    {"place", rule.rule->origin},
                    {"message", rule.message()}});
    if (!maps.strict) warn(rule.message());
  }
  if (maps.strict && !faults.empty()) throw Error(faults);
  if (options.as_json) {
    print({{"model", options.model.empty() ? nlohmann::ordered_json(nullptr)
                                           : nlohmann::ordered_json(options.model)},
           {"maps", to_json(maps)},
           {"layers", to_json(layers)},
           {"idle", idle}});
  } else {
    std::printf("%s", to_table(layers).c_str());
  }
}

// What the file of an ONNX model says of its layers.
void explain_file(const ExplainOptions& options) {
  const std::vector<OnnxLayer> layers = read_onnx_layers(options.model);
  if (!options.as_json) {
    std::printf("%s", to_table(layers).c_str());
    return;
  }
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const OnnxLayer& layer : layers) rows.push_back(to_json(layer));
  print({{"model", options.model}, {"layers", rows}});
}

void run(const ExplainOptions& options) {
  if (options.suggest.bits != 0 && is_onnx_file(options.model)) {
    throw CLI::ValidationError("--suggest", "needs a network of the list, not an ONNX file");
  }
  if (options.suggest.bits != 0) {
    suggest(options.model, options.suggest);
  } else if (options.model.empty() && options.layers.empty()) {
    throw CLI::RequiredError("--model or --layers");
  } else if (is_onnx_file(options.model) && !options.maps.given()) {
    explain_file(options);
  } else {
    explain_maps(options);
  }
}

}  // namespace

void add_explain(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "explain", "List each layer's quantizers and the rules that chose them, or suggest a map");
  auto options = std::make_shared<ExplainOptions>();
  CLI::Option* model = add_model_or_file(*command, options->model);
  command
      ->add_option("--layers", options->layers,
                   "File with the names of the layers, one a line, instead of --model")
      ->excludes(model);
  add_json(*command, options->as_json);
  options->maps.add_to(*command);
  options->suggest.add_to(*command, model);
  command->callback([options] { run(*options); });
}

}  // namespace tensorquant::cli
