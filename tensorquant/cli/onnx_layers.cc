#include "tensorquant/cli/onnx_layers.h"

#include <utility>

#include "tensorquant/base/table.h"
#include "tensorquant/onnx/export/kept_maps.h"
#include "tensorquant/onnx/names/layers.h"

namespace tensorquant::cli {
namespace {

std::string value_name(const onnx::Graph& graph, onnx::ValueId id) {
  return id == onnx::kNoValue ? "" : graph.values[static_cast<std::size_t>(id)].name;
}

OnnxLayer told(const onnx::Graph& graph, const onnx::Layer& layer) {
  const bool moves = layer.role == onnx::Layer::Role::moves;
  OnnxLayer one{
      {layer.name, layer.node->op_type, moves ? NamedLayer::Kind::mover : NamedLayer::Kind::layer}};
  one.node = layer.node->name;
  for (const onnx::ValueId id : layer.weights) {
    one.weight += (one.weight.empty() ? "" : ", ") + value_name(graph, id);
  }
  one.bias = value_name(graph, layer.bias);
  const onnx::Node& last = layer.bias_node != nullptr ? *layer.bias_node : *layer.node;
  one.output = last.outputs.empty() ? "" : value_name(graph, last.outputs.front());
  one.sums_integers = layer.has_integer_factors;
  return one;
}

}  // namespace

bool is_onnx_file(const std::string& model) { return model.ends_with(".onnx"); }

OnnxLayers read_onnx_layers(const std::string& path, onnx::NameSource names) {
  onnx::ModelProto model = onnx::read_model(path);
  OnnxLayers found{{}, onnx::take_maps(model, path)};
  const onnx::Graph graph = onnx::make_graph(std::move(model), path);
  std::vector<OnnxLayer>& layers = found.layers;
  for (const onnx::ValueId id : graph.block.inputs) {
    const onnx::Value& value = graph.values[static_cast<std::size_t>(id)];
    const onnx::DataType type = value.type ? value.type->element : onnx::DataType::undefined;
    if (type != onnx::DataType::undefined && !is_floating_point(type)) continue;
    layers.push_back({{"input:" + value.name, "input", NamedLayer::Kind::input}});
    layers.back().output = value.name;
  }
  for (const onnx::Layer& layer : onnx::layers_of(graph, names)) {
    if (layer.role != onnx::Layer::Role::other) layers.push_back(told(graph, layer));
  }
  return found;
}

std::string to_table(const std::vector<OnnxLayer>& layers) {
  std::vector<std::vector<std::string>> rows;
  for (const OnnxLayer& layer : layers) {
    auto& row = rows.emplace_back(std::vector<std::string>{
        layer.key.name, layer.key.type, layer.node, layer.weight, layer.bias, layer.output,
        layer.moves() ? "moves" : "", layer.sums_integers ? "exact" : ""});
    for (std::string& cell : row) {
      if (cell.empty()) cell = "-";
    }
  }
  return format_table({"layer", "operator", "node", "weight", "bias", "output", "maps", "sums"},
                      rows);
}

nlohmann::ordered_json to_json(const OnnxLayer& layer) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
  };
  return {{"layer", layer.key.name},     {"operator", layer.key.type},
          {"node", or_null(layer.node)}, {"weight", or_null(layer.weight)},
          {"bias", or_null(layer.bias)}, {"output", or_null(layer.output)},
          {"moves", layer.moves()},      {"sums", or_null(layer.sums_integers ? "exact" : "")}};
}

}  // namespace tensorquant::cli
