#include "tensorquant/onnx/graph/graph.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>

#include "tensorquant/base/error.h"
#include "tensorquant/base/text.h"
#include "tensorquant/onnx/graph/constant.h"
#include "tensorquant/onnx/graph/node_order.h"
#include "tensorquant/onnx/graph/proto_size.h"

namespace tensorquant::onnx {
namespace {

constexpr std::size_t kDeepestCall = 64, kDeepestBlock = 64;

using OperatorSets = std::map<std::string, std::int64_t>;
using FunctionKey = std::tuple<std::string, std::string, std::string>;  // domain, name, overload

std::string standard(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

OperatorSets versions_of(const std::vector<OperatorSet>& sets) {
  OperatorSets versions;
  for (const OperatorSet& set : sets) versions[standard(set.domain)] = set.version;
  return versions;
}

// The call of a function while its nodes are taken over, or the model itself.
struct Frame {
  // Whole: without references in them to those of an outer call.
  std::vector<Attribute> arguments;
  std::string prefix;  // of names
  OperatorSets operator_sets;
  // The values that nodes see, those of the innermost block last.
  std::vector<std::unordered_map<std::string, ValueId>> scopes;
};

bool has_reference(const Attribute& attribute) {
  if (!attribute.reference.empty()) return true;
  for (const GraphProto& graph : attribute.graphs) {
    for (const NodeProto& node : graph.nodes) {
      if (std::any_of(node.attributes.begin(), node.attributes.end(), has_reference)) return true;
    }
  }
  return false;
}

class Builder {
 public:
  Builder(ModelProto& model, const std::string& source)
      : source_(source), functions_(model.functions), left_(proto_size_limit(model)) {
    for (const FunctionProto& function : functions_) {
      const FunctionKey key = {standard(function.domain), function.name, function.overload};
      if (!by_name_.emplace(key, &function).second) {
        fail("function '" + shortened(function.name, 80) + "' stands there twice");
      }
      for (const Attribute& attribute : function.defaults) {
        if (!has_reference(attribute)) continue;
        fail("function '" + shortened(function.name, 80) + "': the default of its attribute '" +
             shortened(attribute.name, 80) + "' refers to another attribute");
      }
    }
  }

  Graph build(ModelProto& model) {
    graph_.source = source_;
    graph_.operator_sets = versions_of(model.operator_sets);
    Frame frame;
    frame.operator_sets = graph_.operator_sets;
    for (const ValueInfo& output : model.graph.outputs) graph_.output_names.push_back(output.name);
    graph_.block = build_graph(std::move(model.graph), frame);
    return std::move(graph_);
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const { throw Error(source_ + ": " + reason); }
  [[noreturn]] void fail(const NodeProto& node, const std::string& reason) const {
    fail(describe_node(node) + ": " + reason);
  }

  // What inlined functions add.
  void charge(std::size_t bytes) {
    if (bytes > left_) fail("the functions make the model far larger than its file");
    left_ -= bytes;
  }

  ValueId define(Frame& frame, const std::string& name, const std::string& maker) {
    const auto id = static_cast<ValueId>(graph_.values.size());
    if (!frame.scopes.back().emplace(name, id).second) {
      fail(maker + ": '" + shortened(name, 80) + "' has another maker already");
    }
    charge(frame.prefix.size());
    graph_.values.push_back({frame.prefix + name, std::nullopt, nullptr});
    return id;
  }

  // kNoValue: of an input that a function's call leaves out.
  static std::optional<ValueId> look_up(const Frame& frame, const std::string& name) {
    for (auto scope = frame.scopes.rbegin(); scope != frame.scopes.rend(); ++scope) {
      const auto found = scope->find(name);
      if (found != scope->end()) return found->second;
    }
    return std::nullopt;
  }

  // A graph or a subgraph, in a scope of its own.
  Block build_graph(GraphProto graph, Frame& frame) {
    if (++depth_ > kDeepestBlock) {
      fail("subgraphs lie more than " + std::to_string(kDeepestBlock) + " deep in each other");
    }
    frame.scopes.emplace_back();
    Block block;
    for (Tensor& tensor : graph.initializers) add_initializer(std::move(tensor), frame);
    for (const ValueInfo& input : graph.inputs) {
      if (is_constant(frame, input.name)) continue;  // an initializer: its default
      block.inputs.push_back(define(frame, input.name, "the graph's inputs"));
    }
    build_nodes(std::move(graph.nodes), frame, block);
    for (const ValueInfo& output : graph.outputs) {
      const std::optional<ValueId> id = look_up(frame, output.name);
      if (!id || *id == kNoValue) {
        fail("the graph's output '" + shortened(output.name, 80) + "': nothing makes it");
      }
      block.outputs.push_back(*id);
    }
    for (const auto* list : {&graph.inputs, &graph.outputs, &graph.values}) declare(*list, frame);
    frame.scopes.pop_back();
    --depth_;
    return block;
  }

  bool is_constant(const Frame& frame, const std::string& name) const {
    const auto found = frame.scopes.back().find(name);
    return found != frame.scopes.back().end() &&
           graph_.values[static_cast<std::size_t>(found->second)].constant != nullptr;
  }

  void add_initializer(Tensor tensor, Frame& frame) {
    const std::string name = tensor.name;
    if (tensor.external)
      fail("tensor '" + shortened(name, 80) + "': its external data are not loaded");
    const ValueId id = define(frame, name, "the graph's initializers");
    set_constant(id, std::move(tensor));
  }

  void set_constant(ValueId id, Tensor tensor) {
    Value& value = graph_.values[static_cast<std::size_t>(id)];
    value.type.emplace();
    value.type->element = tensor.type;
    value.type->shape.emplace(tensor.dims.begin(), tensor.dims.end());
    value.constant = std::make_shared<const Tensor>(std::move(tensor));
  }

  void declare(const std::vector<ValueInfo>& infos, Frame& frame) {
    for (const ValueInfo& info : infos) {
      const auto found = frame.scopes.back().find(info.name);
      if (found == frame.scopes.back().end() || !info.tensor) continue;
      Value& value = graph_.values[static_cast<std::size_t>(found->second)];
      if (!value.type) value.type = info.tensor;
    }
  }

  void build_nodes(std::vector<NodeProto> nodes, Frame& frame, Block& block) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (const std::string& name : nodes[i].inputs) {
        if (!name.empty() && !look_up(frame, name)) {
          fail(nodes[i], "reads '" + shortened(name, 80) + "', " + why_missing(nodes, i, name));
        }
      }
      // The list keeps what why_missing() reads.
      std::vector<Attribute> attributes = std::move(nodes[i].attributes);
      NodeProto node = nodes[i];
      node.attributes = std::move(attributes);
      build_node(std::move(node), frame, block);
    }
  }

  void build_node(NodeProto node, Frame& frame, Block& block) {
    node.domain = standard(node.domain);
    const auto found = by_name_.find({node.domain, node.op_type, node.overload});
    if (found != by_name_.end()) {
      resolve_all_references(node, frame);  // inside, names are of the function's attributes
      inline_function(std::move(node), *found->second, frame, block);
      return;
    }
    resolve_references(node, frame);
    if (node.domain.empty() && node.op_type == "Constant") {
      add_constant(node, frame);
    } else {
      add_node(std::move(node), frame, block);
    }
  }

  // Attributes of a function's node that stand for the call's.
  void resolve_references(NodeProto& node, const Frame& frame) {
    std::vector<Attribute> resolved;
    for (Attribute& attribute : node.attributes) {
      if (attribute.reference.empty()) {
        resolved.push_back(std::move(attribute));
        continue;
      }
      const auto is_meant = [&](const Attribute& one) { return one.name == attribute.reference; };
      const auto found = std::find_if(frame.arguments.begin(), frame.arguments.end(), is_meant);
      if (found == frame.arguments.end()) continue;  // left out by the call, and so here
      charge(proto_size(*found));
      resolved.push_back(*found);
      resolved.back().name = attribute.name;
    }
    node.attributes = std::move(resolved);
  }

  // Those inside of subgraphs too.
  void resolve_all_references(NodeProto& node, const Frame& frame) {
    for (Attribute& attribute : node.attributes) {
      for (GraphProto& graph : attribute.graphs) {
        for (NodeProto& inner : graph.nodes) resolve_all_references(inner, frame);
      }
    }
    resolve_references(node, frame);
  }

  void add_constant(const NodeProto& node, Frame& frame) {
    if (node.outputs.size() != 1) fail(node, "expected one output");
    Tensor tensor;
    try {
      tensor = constant_of(node);
    } catch (const Error& error) {
      fail(node, error.what());
    }
    if (tensor.external) fail(node, "its external data are not loaded");
    set_constant(define(frame, node.outputs.front(), describe_node(node)), std::move(tensor));
  }

  void add_node(NodeProto node, Frame& frame, Block& block) {
    const std::string maker = describe_node(node);
    Node made;
    made.domain = node.domain;
    made.op_type = node.op_type;
    if (!node.name.empty()) {
      charge(frame.prefix.size());
      made.name = frame.prefix + node.name;
    }
    made.version = version_of(node, frame);
    made.inputs = values_of(node.inputs, frame);
    for (Attribute& attribute : node.attributes) {
      if (attribute.type == AttributeType::graph) {
        made.blocks.push_back(
            {attribute.name, build_graph(std::move(attribute.graphs.front()), frame)});
      } else if (attribute.type == AttributeType::graphs) {
        fail(node, "attribute '" + shortened(attribute.name, 80) +
                       "': lists of graphs are not supported");
      } else {
        made.attributes.push_back(std::move(attribute));
      }
    }
    for (const std::string& name : node.outputs) {
      made.outputs.push_back(name.empty() ? kNoValue : define(frame, name, maker));
    }
    made.metadata = std::move(node.metadata);
    block.nodes.push_back(std::move(made));
  }

  std::int64_t version_of(const NodeProto& node, const Frame& frame) const {
    for (const OperatorSets* sets : {&frame.operator_sets, &graph_.operator_sets}) {
      const auto found = sets->find(node.domain);
      if (found != sets->end()) return found->second;
    }
    fail(node, "the model has no version of the operators of the domain '" +
                   shortened(node.domain, 80) + "'");
  }

  static std::vector<ValueId> values_of(const std::vector<std::string>& names, const Frame& frame) {
    std::vector<ValueId> ids;
    ids.reserve(names.size());
    for (const std::string& name : names) {
      ids.push_back(name.empty() ? kNoValue : look_up(frame, name).value());
    }
    return ids;
  }

  void check_call(const NodeProto& call, const FunctionProto& function) {
    if (std::find(calls_.begin(), calls_.end(), &function) != calls_.end()) {
      fail(call, "the function calls itself");
    }
    if (calls_.size() == kDeepestCall) {
      fail(call, "functions are called more than " + std::to_string(kDeepestCall) + " deep");
    }
    if (call.inputs.size() > function.inputs.size() ||
        call.outputs.size() > function.outputs.size()) {
      fail(call, "more inputs or outputs than the function has");
    }
    charge(proto_size(function.nodes) + proto_size(function.inputs) + proto_size(function.outputs) +
           proto_size(function.defaults));
  }

  void inline_function(NodeProto call, const FunctionProto& function, Frame& frame, Block& block) {
    check_call(call, function);
    const auto first_value = static_cast<ValueId>(graph_.values.size());
    Frame inner;
    inner.arguments = std::move(call.attributes);
    inner.arguments.insert(inner.arguments.end(), function.defaults.begin(),
                           function.defaults.end());
    const bool unnamed = call.name.empty() && !call.outputs.empty();
    inner.prefix = frame.prefix + (unnamed ? call.outputs.front() : call.name) + "/";
    inner.operator_sets = versions_of(function.operator_sets);
    inner.scopes.emplace_back();
    const std::vector<ValueId> inputs = values_of(call.inputs, frame);
    for (std::size_t i = 0; i < function.inputs.size(); ++i) {
      inner.scopes.back()[function.inputs[i]] = i < inputs.size() ? inputs[i] : kNoValue;
    }
    calls_.push_back(&function);
    build_nodes(function.nodes, inner, block);
    calls_.pop_back();
    for (std::size_t i = 0; i < call.outputs.size(); ++i) {
      if (call.outputs[i].empty()) continue;
      const std::optional<ValueId> id = look_up(inner, function.outputs[i]);
      if (!id || *id == kNoValue) {
        fail(call,
             "nothing makes the function's output '" + shortened(function.outputs[i], 80) + "'");
      }
      if (!frame.scopes.back().emplace(call.outputs[i], *id).second) {
        fail(call, "'" + shortened(call.outputs[i], 80) + "' has another maker already");
      }
      if (*id >= first_value) {
        graph_.values[static_cast<std::size_t>(*id)].name = frame.prefix + call.outputs[i];
      }
    }
  }

  const std::string& source_;
  const std::vector<FunctionProto>& functions_;
  std::map<FunctionKey, const FunctionProto*> by_name_;
  std::vector<const FunctionProto*> calls_;
  std::size_t depth_ = 0;  // of blocks
  std::size_t left_;       // what functions may still add: proto_size()
  Graph graph_;
};

}  // namespace

Graph make_graph(ModelProto model, const std::string& source) {
  return Builder(model, source).build(model);
}

std::string describe(const Graph& graph, const Node& node) {
  if (!node.name.empty()) return "node '" + shortened(node.name, 80) + "' (" + node.op_type + ")";
  for (const ValueId id : node.outputs) {
    if (id == kNoValue) continue;
    return "the node of '" + shortened(graph.values[static_cast<std::size_t>(id)].name, 80) +
           "' (" + node.op_type + ")";
  }
  return "a node (" + node.op_type + ")";
}

const Attribute* find_attribute(const Node& node, std::string_view name) {
  for (const Attribute& attribute : node.attributes) {
    if (attribute.name == name) return &attribute;
  }
  return nullptr;
}

}  // namespace tensorquant::onnx
