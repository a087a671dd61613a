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
  NamesOption names;
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

// What rules can hit, and what apply() makes of it where a model is built.
struct Layers {
  std::vector<NamedLayer> keys;
  std::vector<LayerSummary> rows;  // one for each
  std::vector<OnnxLayer> file;     // likewise, of an ONNX file
};

Layers named_layers(const std::string& path) {
  Layers layers;
  for (std::string& name : read_names(path)) layers.keys.emplace_back(std::move(name));
  return layers;
}

Layers layers_of_file(std::vector<OnnxLayer> found) {
  Layers layers;
  layers.file = std::move(found);
  for (const OnnxLayer& layer : layers.file) layers.keys.push_back(layer.key);
  return layers;
}

Layers layers_of_network(const ExplainOptions& options, Override maps) {
  const std::shared_ptr<ImageClassifier> model = make_model(find_model(options.model));
  maps.strict = false;  // explain_maps() reports the rules that do nothing
  apply(*model, maps);
  Layers layers;
  layers.rows = summary(model);
  for (const LayerSummary& row : layers.rows) layers.keys.emplace_back(row.layer, row.type);
  return layers;
}

std::string spec_of(const std::shared_ptr<const Quantizer>& quantizer) {
  return quantizer ? quantizer->spec() : "";
}

// A row as the rules alone tell it. Of a file's layers it is known whether they have parameters.
void fill(LayerSummary& row, const NamedLayer& key, const LayerExplanation& chosen,
          const OnnxLayer* file) {
  row.layer = key.name;
  row.type = key.type;
  for (const auto& [map, rule] : {std::pair{"weights", chosen.weights},
                                  {"extrinsic", chosen.extrinsic},
                                  {"intrinsic", chosen.intrinsic}}) {
    if (rule == nullptr) continue;
    row.rule += (row.rule.empty() ? "" : ", ") + std::string(map) + " \"" + rule->pattern.key() +
                "\" (" + rule->origin + ")";
  }
  if (chosen.weights != nullptr && (file == nullptr || !file->weight.empty())) {
    row.weight = spec_of(chosen.weights->value.weight);
  }
  if (chosen.weights != nullptr && (file == nullptr || !file->bias.empty())) {
    row.bias = spec_of(chosen.weights->value.bias);
  }
  if (chosen.extrinsic) row.output = spec_of(chosen.extrinsic->value.output);
  if (chosen.intrinsic && chosen.intrinsic->value.product) {
    row.intrinsic = chosen.intrinsic->text;  // JSON: a string, or an object with the parts
    std::erase(row.intrinsic, '"');
  }
}

// Inputs and what only moves numbers are shown where a rule hits them.
std::vector<LayerSummary> rows_of(const Layers& layers, const Explanation& explanation) {
  std::vector<LayerSummary> rows;
  for (std::size_t i = 0; i < layers.keys.size(); ++i) {
    const NamedLayer& key = layers.keys[i];
    const bool is_plain = key.kind == NamedLayer::Kind::layer;
    LayerSummary row;
    if (is_plain && !layers.rows.empty()) {
      row = layers.rows[i];
    } else {
      fill(row, key, explanation.layers[i], layers.file.empty() ? nullptr : &layers.file[i]);
    }
    if (is_plain || !row.rule.empty()) rows.push_back(std::move(row));
  }
  return rows;
}

void explain_maps(const ExplainOptions& options, const Override& maps, const Layers& found) {
  const Explanation explanation = tensorquant::explain(maps, found.keys);
  const std::vector<LayerSummary> layers = rows_of(found, explanation);

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
void print_layers(const ExplainOptions& options, const std::vector<OnnxLayer>& layers) {
  if (!options.as_json) {
    std::printf("%s", to_table(layers).c_str());
    return;
  }
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const OnnxLayer& layer : layers) rows.push_back(to_json(layer));
  print({{"model", options.model}, {"layers", rows}});
}

void explain_file(const ExplainOptions& options) {
  OnnxLayers file = read_onnx_layers(options.model, options.names.source());
  if (!options.maps.given() && !file.kept) return print_layers(options, file.layers);
  const Override maps = maps_of_file(options.maps, 0, file.kept, options.model);
  explain_maps(options, maps, layers_of_file(std::move(file.layers)));
}

void run(const ExplainOptions& options) {
  if (options.suggest.bits != 0) {
    suggest(options.model, options.names, options.suggest);
  } else if (options.model.empty() && options.layers.empty()) {
    throw CLI::RequiredError("--model or --layers");
  } else if (is_onnx_file(options.model)) {
    explain_file(options);
  } else {
    const Override maps = options.maps.read(0);
    explain_maps(
        options, maps,
        options.model.empty() ? named_layers(options.layers) : layers_of_network(options, maps));
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
  options->names.add_to(*command);
  options->maps.add_to(*command);
  options->suggest.add_to(*command, model);
  command->callback([options] { run(*options); });
}

}  // namespace tensorquant::cli
