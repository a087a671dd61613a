#include "tensorquant/onnx/names/layers.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx/names/integer_factors.h"
#include "tensorquant/onnx/names/module_path.h"
#include "tensorquant/onnx/names/values.h"

namespace tensorquant::onnx {
namespace {

using Origin = ValueFacts::Origin;
using Names = std::unordered_set<std::string_view>;

constexpr std::size_t kMostPrefixBytes = 64 << 20;  // in front of names, of all nodes together

const Names kMovers = {"Reshape",      "Flatten",        "Transpose", "Squeeze",
                       "Unsqueeze",    "Slice",          "Split",     "Concat",
                       "Expand",       "Identity",       "Dropout",   "Pad",
                       "MaxPool",      "GlobalMaxPool",  "Tile",      "DepthToSpace",
                       "SpaceToDepth", "GatherElements", "GatherND",  "If",
                       "TopK",         "Compress",       "Trilu",     "ReverseSequence",
                       "Unique",       "CenterCropPad"};
const Names kOthers = {"Cast",
                       "CastLike",
                       "Constant",
                       "ConstantOfShape",
                       "Shape",
                       "Size",
                       "QuantizeLinear",
                       "DequantizeLinear",
                       "QLinearConv",
                       "QLinearMatMul",
                       "ConvInteger",
                       "MatMulInteger",
                       "DynamicQuantizeLinear"};
// Nodes that make another constant of a constant's numbers, and those of them that keep its shape.
const Names kChains = {"QuantizeLinear", "Clip",      "Identity",     "Transpose",
                       "Reshape",        "Unsqueeze", "Cast",         "DequantizeLinear",
                       "Quant",          "IntQuant",  "BipolarQuant", "FloatQuant"};
const Names kShapeKeepers = {"Identity", "Cast",         "DequantizeLinear", "Quant",
                             "IntQuant", "BipolarQuant", "FloatQuant"};

// With a constant operand they are a part of something that is no layer: a scale, an epsilon.
const Names kBinary = {"Add", "Sub", "Mul", "Div"};

// Which inputs are a layer's weights and bias, if they are constants.
struct Parameters {
  std::vector<std::size_t> weights;
  std::size_t bias = SIZE_MAX;
};
const std::unordered_map<std::string_view, Parameters> kParameters = {
    {"Conv", {{1}, 2}},
    {"ConvTranspose", {{1}, 2}},
    {"BatchNormalization", {{1}, 2}},
    {"LayerNormalization", {{1}, 2}},
    {"InstanceNormalization", {{1}, 2}},
    {"GroupNormalization", {{1}, 2}},
    {"RMSNormalization", {{1}}},
    {"LSTM", {{1, 2}, 3}},
    {"GRU", {{1, 2}, 3}},
    {"RNN", {{1, 2}, 3}},
    {"PRelu", {{1}}},
};

class LayerFinder {
 public:
  LayerFinder(const Graph& graph, NameSource source)
      : graph_(graph), source_(source), facts_(facts_of(graph)) {}

  std::vector<Layer> find() {
    visit(graph_.block, "");
    return std::move(layers_);
  }

 private:
  void visit(const Block& block, const std::string& prefix) {
    std::unordered_map<ValueId, const Node*> adds;  // by each value that they read
    for (const Node& node : block.nodes) {
      if (node.op_type != "Add" || !node.domain.empty()) continue;
      for (const ValueId id : node.inputs) adds[id] = &node;
    }
    std::unordered_set<const Node*> taken;
    for (const Node& node : block.nodes) {
      if (taken.contains(&node)) continue;
      Layer layer;
      layer.node = &node;
      find_parameters(layer);
      layer.role = role_of(layer);
      const bool is_product = node.op_type == "MatMul" && !layer.weights.empty();
      if (is_product && layer.role == Layer::Role::computes) find_bias(layer, adds);
      if (layer.bias_node != nullptr) taken.insert(layer.bias_node);
      layer.has_integer_factors = has_integer_factors(graph_, facts_, node);
      count_prefix(prefix);
      layer.name = unique(prefix + name_of(layer));
      const std::string name = layer.name;
      layers_.push_back(std::move(layer));
      for (const auto& [branch, inner] : node.blocks) visit(inner, name + "." + branch + ".");
    }
  }

  bool is_constant(const Node& node, std::size_t input) const {
    return input < node.inputs.size() && node.inputs[input] != kNoValue &&
           ValueFacts::of(facts_.origin, node.inputs[input]) == Origin::constant &&
           is_floating_point(ValueFacts::of(facts_.type, node.inputs[input]));
  }

  void find_parameters(Layer& layer) const {
    const Node& node = *layer.node;
    if (!node.domain.empty()) return;
    Parameters found;
    if (node.op_type == "Gemm") {
      found = {{is_constant(node, 1) ? std::size_t{1} : std::size_t{0}}, 2};
    } else if (node.op_type == "MatMul") {
      if (is_constant(node, 0) == is_constant(node, 1)) return;
      found = {{is_constant(node, 1) ? std::size_t{1} : std::size_t{0}}};
    } else if (node.op_type == "Gather") {
      found = {{0}};
    } else if (const auto entry = kParameters.find(node.op_type); entry != kParameters.end()) {
      found = entry->second;
    }
    for (const std::size_t input : found.weights) {
      if (!is_constant(node, input)) continue;
      layer.weights.push_back(node.inputs[input]);
      layer.weight_inputs.push_back(input);
    }
    if (!is_constant(node, found.bias)) return;
    layer.bias = node.inputs[found.bias];
    layer.bias_input = found.bias;
  }

  // The constant of a following Add that reads nothing else of the product and nobody else reads.
  void find_bias(Layer& layer, const std::unordered_map<ValueId, const Node*>& adds) const {
    const ValueId product = layer.node->outputs.empty() ? kNoValue : layer.node->outputs.front();
    const auto add = adds.find(product);
    if (product == kNoValue || add == adds.end()) return;
    const Node& sum = *add->second;
    if (ValueFacts::of(facts_.readers, product) != 1 || sum.inputs.size() != 2) return;
    if (sum.outputs.empty() || sum.outputs.front() == kNoValue) return;
    const std::size_t other = sum.inputs[0] == product ? 1 : 0;
    if (!is_constant(sum, other)) return;
    const ValueId bias = sum.inputs[other];
    const auto* shape = shape_of_constant(bias);
    // One of more axes could give the sum more axes than the product has.
    if (shape == nullptr || shape->size() != 1) return;
    layer.bias = bias;
    layer.bias_node = &sum;
  }

  // Null if it is not known without computing.
  const std::vector<Dimension>* shape_of_constant(ValueId id) const {
    while (id != kNoValue) {
      const auto& type = graph_.values[static_cast<std::size_t>(id)].type;
      if (type && type->shape) return &*type->shape;
      const Node* maker = ValueFacts::of(facts_.maker, id);
      const bool keeps = maker != nullptr && kShapeKeepers.contains(maker->op_type);
      id = keeps && !maker->inputs.empty() ? maker->inputs.front() : kNoValue;
    }
    return nullptr;
  }

  Layer::Role role_of(const Layer& layer) const {
    const Node& node = *layer.node;
    const ValueId output = node.outputs.empty() ? kNoValue : node.outputs.front();
    if (output == kNoValue || kOthers.contains(node.op_type) ||
        ValueFacts::of(facts_.origin, output) != Origin::data) {
      return Layer::Role::other;
    }
    const DataType type = ValueFacts::of(facts_.type, output);
    if (type != DataType::undefined && !is_floating_point(type)) return Layer::Role::other;
    if (!node.domain.empty()) return Layer::Role::other;
    if (scales_by_constant(node)) return Layer::Role::other;
    const bool gathers_data = node.op_type == "Gather" && layer.weights.empty();
    return kMovers.contains(node.op_type) || gathers_data ? Layer::Role::moves
                                                          : Layer::Role::computes;
  }

  bool scales_by_constant(const Node& node) const {
    return kBinary.contains(node.op_type) && node.inputs.size() == 2 &&
           (is_constant(node, 0) || is_constant(node, 1));
  }

  // "X" if the weight is called "X.weight" and this node alone uses it.
  std::string weighted_module(const Layer& layer) const {
    constexpr std::string_view kEnd = ".weight";
    ValueId id = layer.weights.front();
    while (id != kNoValue && ValueFacts::of(facts_.readers, id) == 1) {
      const std::string& name = graph_.values[static_cast<std::size_t>(id)].name;
      if (name.ends_with(kEnd)) return name.substr(0, name.size() - kEnd.size());
      const Node* maker = ValueFacts::of(facts_.maker, id);
      if (maker == nullptr || !kChains.contains(maker->op_type) || maker->inputs.empty()) break;
      id = maker->inputs.front();
    }
    return "";
  }

  std::string name_of(const Layer& layer) const {
    const Node& node = *layer.node;
    if (source_ == NameSource::canonical) {
      const std::string module = module_name(layer);
      if (!module.empty()) return module;
    }
    if (!node.name.empty() && source_ != NameSource::output) return node.name;
    for (const ValueId id : node.outputs) {
      if (id != kNoValue) return graph_.values[static_cast<std::size_t>(id)].name;
    }
    return node.op_type;
  }

  // That of the module which the node came from; empty where it is not known.
  std::string module_name(const Layer& layer) const {
    const Node& node = *layer.node;
    const bool weighted = !layer.weights.empty();
    // Of the model itself, "", a node without a weight has its operator's name alone.
    const auto with_operator = [&](const std::string& module) {
      return weighted ? module : module + (module.empty() ? "" : ".") + node.op_type;
    };
    const std::optional<std::string> told = module_in_name(node.name);
    if (told && !with_operator(*told).empty()) return with_operator(*told);
    if (weighted) {
      const std::string module = weighted_module(layer);
      if (!module.empty()) return module;
    }
    const std::optional<std::string> scope = module_in_metadata(node);
    return scope ? with_operator(*scope) : "";
  }

  // So that a long name around many nodes does not take much more memory than the file.
  void count_prefix(const std::string& prefix) {
    if (prefix.size() > left_) {
      throw Error(graph_.source + ": the names of nodes around subgraphs are too long");
    }
    left_ -= prefix.size();
  }

  std::string unique(const std::string& name) {
    std::string found = name;
    for (std::size_t& count = counts_[name]; !names_.insert(found).second;) {
      count = std::max<std::size_t>(count, 1) + 1;
      found = name + "#" + std::to_string(count);
    }
    return found;
  }

  const Graph& graph_;
  NameSource source_;
  ValueFacts facts_;
  std::vector<Layer> layers_;
  std::unordered_set<std::string> names_;
  std::unordered_map<std::string, std::size_t> counts_;
  std::size_t left_ = kMostPrefixBytes;
};

}  // namespace

std::vector<Layer> layers_of(const Graph& graph, NameSource names) {
  return LayerFinder(graph, names).find();
}

}  // namespace tensorquant::onnx
