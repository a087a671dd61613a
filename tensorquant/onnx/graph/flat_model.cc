#include "tensorquant/onnx/graph/flat_model.h"

#include <algorithm>
#include <unordered_set>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx {
namespace {

std::size_t index_of(ValueId id) { return static_cast<std::size_t>(id); }

class Flattener {
 public:
  explicit Flattener(const Graph& graph)
      : graph_(graph), names_(graph.values.size()), operator_sets_(graph.operator_sets) {}

  ModelProto model(std::int64_t ir_version) {
    for (const ValueId id : graph_.block.inputs) name(id);
    ModelProto model;
    model.ir_version = std::max<std::int64_t>(ir_version, 4);
    GraphProto& outermost = model.graph;
    outermost.name = "main";
    for (const ValueId id : graph_.block.inputs) outermost.inputs.push_back(info_of(id));
    // The outputs keep their names, whatever else has them.
    for (std::size_t i = 0; i < graph_.block.outputs.size(); ++i) {
      const ValueId id = graph_.block.outputs[i];
      const std::string& output = graph_.output_names[i];
      outermost.outputs.push_back({output, graph_.values[index_of(id)].type, {}, {}});
      if (is_named(id) ? names_[index_of(id)] == output : used_.insert(output).second) {
        set_name(id, output);
      } else {
        used_.insert(output);
        copies_.emplace_back(id, output);
      }
    }
    outermost.nodes = nodes_of(graph_.block);
    for (const auto& [id, output] : copies_) {
      outermost.nodes.push_back({"", "", "Identity", "", {name(id)}, {output}, {}, {}});
    }
    outermost.initializers = std::move(initializers_);
    for (const auto& [domain, version] : operator_sets_) {
      model.operator_sets.push_back({domain, version});
    }
    return model;
  }

 private:
  bool is_named(ValueId id) const { return !names_[index_of(id)].empty(); }

  void set_name(ValueId id, const std::string& name) {
    if (is_named(id)) return;
    names_[index_of(id)] = name;
    const Value& value = graph_.values[index_of(id)];
    if (value.constant == nullptr) return;
    initializers_.push_back(*value.constant);
    initializers_.back().name = name;
  }

  // "" for one that is left out.
  std::string name(ValueId id) {
    if (id == kNoValue) return "";
    if (!is_named(id)) set_name(id, unused(graph_.values[index_of(id)].name));
    return names_[index_of(id)];
  }

  // Marks it as used.
  std::string unused(const std::string& name) {
    std::string found = name;
    for (int count = 2; !used_.insert(found).second; ++count) {
      found = name + "#" + std::to_string(count);
    }
    return found;
  }

  std::vector<std::string> names_of(const std::vector<ValueId>& ids) {
    std::vector<std::string> found;
    for (const ValueId id : ids) found.push_back(name(id));
    return found;
  }

  ValueInfo info_of(ValueId id) { return {name(id), graph_.values[index_of(id)].type, {}, {}}; }

  std::vector<NodeProto> nodes_of(const Block& block) {
    std::vector<NodeProto> nodes;
    for (const Node& node : block.nodes) {
      check_version(node);
      NodeProto made = {node.name,
                        node.domain,
                        node.op_type,
                        "",
                        names_of(node.inputs),
                        names_of(node.outputs),
                        node.attributes,
                        node.metadata};
      for (const auto& [attribute, inner] : node.blocks) {
        Attribute& graph = made.attributes.emplace_back();
        graph.name = attribute;
        graph.type = AttributeType::graph;
        graph.graphs.push_back(subgraph(attribute, inner));
      }
      nodes.push_back(std::move(made));
    }
    return nodes;
  }

  // Outputs of a subgraph that it does not make are copied in it: readers may want that.
  GraphProto subgraph(const std::string& attribute, const Block& block) {
    GraphProto graph;
    graph.name = attribute;
    std::unordered_set<ValueId> made;
    for (const ValueId id : block.inputs) graph.inputs.push_back(info_of(id));
    for (const Node& node : block.nodes) made.insert(node.outputs.begin(), node.outputs.end());
    graph.nodes = nodes_of(block);
    for (const ValueId id : block.outputs) {
      ValueInfo info = info_of(id);
      if (made.erase(id) == 0) {
        const std::string inner = info.name;
        info.name = unused(inner);
        graph.nodes.push_back({"", "", "Identity", "", {inner}, {info.name}, {}, {}});
      }
      graph.outputs.push_back(std::move(info));
    }
    return graph;
  }

  void check_version(const Node& node) {
    const auto [found, is_new] = operator_sets_.emplace(node.domain, node.version);
    if (is_new || found->second == node.version) return;
    throw Error(graph_.source + ": " + describe(graph_, node) + ": is of version " +
                std::to_string(node.version) + " of its operators, the model of version " +
                std::to_string(found->second));
  }

  const Graph& graph_;
  std::vector<std::string> names_;  // of the values that have one
  std::unordered_set<std::string> used_;
  std::vector<Tensor> initializers_;
  std::vector<std::pair<ValueId, std::string>> copies_;
  std::map<std::string, std::int64_t> operator_sets_;
};

}  // namespace

ModelProto flat_model(const Graph& graph, std::int64_t ir_version) {
  return Flattener(graph).model(ir_version);
}

}  // namespace tensorquant::onnx
