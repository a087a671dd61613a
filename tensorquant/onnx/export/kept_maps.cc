#include "tensorquant/onnx/export/kept_maps.h"

#include <algorithm>
#include <unordered_map>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx/export/quantizer_nodes.h"

namespace tensorquant::onnx {
namespace {

// Keys of metadata: of the model; of nodes that stand for a quantizer.
constexpr const char* kMapsKey = "tensorquant.maps";
constexpr const char* kOriginalKey = "tensorquant.original";
constexpr const char* kAddedKey = "tensorquant.added";
constexpr const char* kOwnKeys = "tensorquant.";

using Names = std::unordered_map<std::string, std::string>;

const std::string* find_entry(const Metadata& metadata, const std::string& key) {
  const auto found = std::find_if(metadata.begin(), metadata.end(),
                                  [&](const auto& entry) { return entry.first == key; });
  return found == metadata.end() ? nullptr : &found->second;
}

void rename(std::string& name, const Names& names) {
  if (const auto found = names.find(name); found != names.end()) name = found->second;
}

void rename_values(GraphProto& graph, const Names& names) {
  for (NodeProto& node : graph.nodes) {
    for (std::string& name : node.inputs) rename(name, names);
    for (std::string& name : node.outputs) rename(name, names);
    for (Attribute& attribute : node.attributes) {
      for (GraphProto& inner : attribute.graphs) rename_values(inner, names);
    }
  }
  for (ValueInfo& output : graph.outputs) rename(output.name, names);
}

void drop_quantizers(ModelProto& model) {
  Names originals;
  std::erase_if(model.graph.nodes, [&](const NodeProto& node) {
    const std::string* original = find_entry(node.metadata, kOriginalKey);
    const std::string* added = find_entry(node.metadata, kAddedKey);
    if (original == nullptr || added == nullptr) return false;
    originals.emplace(*added, *original);
    return true;
  });
  rename_values(model.graph, originals);
  std::erase_if(model.functions, [](const auto& one) { return one.domain == kFunctionDomain; });
  std::erase_if(model.metadata, [](const auto& one) { return one.first.starts_with(kOwnKeys); });
}

}  // namespace

void keep_maps(ModelProto& model, const Override& maps) {
  model.metadata.emplace_back(kMapsKey, maps.to_json());
}

void mark_quantizer(std::vector<NodeProto>& nodes, const std::string& original,
                    const std::string& added) {
  for (NodeProto& node : nodes) {
    node.metadata.emplace_back(kOriginalKey, original);
    node.metadata.emplace_back(kAddedKey, added);
  }
}

std::optional<Override> take_maps(ModelProto& model, const std::string& source) {
  const std::string* text = find_entry(model.metadata, kMapsKey);
  if (text == nullptr) return std::nullopt;
  try {
    Override maps = Override::from_json(*text);
    maps.refuse_training();
    drop_quantizers(model);
    return maps;
  } catch (const Error& error) {
    throw Error(source + ": metadata '" + kMapsKey + "': " + error.what());
  }
}

}  // namespace tensorquant::onnx
