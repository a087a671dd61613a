#include "tensorquant/onnx_torch/onnx_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "tensorquant/base/error.h"
#include "tensorquant/base/text.h"
#include "tensorquant/onnx/names/layers.h"
#include "tensorquant/onnx/names/values.h"
#include "tensorquant/onnx_torch/layers.h"
#include "tensorquant/onnx_torch/operators/codes.h"
#include "tensorquant/onnx_torch/operators/opaque_quantizer.h"
#include "tensorquant/onnx_torch/operators/operators.h"
#include "tensorquant/onnx_torch/plan.h"

namespace tensorquant {

using onnx::kNoValue;
using onnx::ValueId;
using onnx_torch::Function;
using onnx_torch::is_opaque_quantizer;
using onnx_torch::NodeView;
using onnx_torch::reason_of;
using onnx_torch::slot_of;
using onnx_torch::Step;
using onnx_torch::Tensors;

namespace {

// The meaning of broadcasting changed with operator set 7. Of later ones than the newest nothing is
// known here.
constexpr std::int64_t kOldestOperators = 7, kNewestOperators = 26;

// The standard's only operator with branches. Its steps are those of the plan.
bool is_if(const onnx::Node& node) { return node.domain.empty() && node.op_type == "If"; }

onnx::DataType data_type_of(const at::Tensor& floats) {
  for (const onnx::DataType type :
       {onnx::DataType::f32, onnx::DataType::f64, onnx::DataType::f16, onnx::DataType::bf16}) {
    if (onnx_torch::scalar_type_of(type) == floats.scalar_type()) return type;
  }
  throw Error(std::string("a weight of type ") + at::toString(floats.scalar_type()));
}

// All nodes, those of subgraphs too, each before those inside.
template <class F>
void visit_nodes(const onnx::Block& block, const F& f) {
  for (const onnx::Node& node : block.nodes) {
    f(node);
    for (const auto& [name, inner] : node.blocks) visit_nodes(inner, f);
  }
}

}  // namespace

class OnnxModelBuilder {
 public:
  OnnxModelBuilder(const onnx::Graph& graph, const std::string& source, const OnnxOptions& options)
      : graph_(graph),
        source_(source),
        options_(options),
        facts_(onnx::facts_of(graph)),
        plan_(std::make_shared<onnx_torch::Plan>()) {}

  std::shared_ptr<OnnxModel> build() {
    refuse_missing_operators();
    warn_of_newer_operators();
    read_constants();
    for (const onnx::Layer& layer : onnx::layers_of(graph_, options_.names)) {
      layers_.emplace(layer.node, layer);
    }
    add_inputs();
    plan_->steps = steps_of(graph_.block);
    plan_->inputs = graph_.block.inputs;
    plan_->outputs = graph_.block.outputs;
    find_last_readers(plan_->steps, plan_->outputs, plan_->constants);
    model_->output_names_ = graph_.output_names;
    for (const ValueId id : graph_.block.outputs) {
      const onnx::Node* const maker = onnx::ValueFacts::of(facts_.maker, id);
      model_->output_operators_.push_back(maker == nullptr ? "" : maker->op_type);
    }
    model_->plan_ = plan_;
    model_->eval();
    return model_;
  }

 private:
  std::string place_of(const onnx::Node& node) const {
    return source_ + ": " + describe(graph_, node);
  }

  void refuse_missing_operators() const {
    std::map<std::string, std::string> missing;  // operator to its nodes
    visit_nodes(graph_.block, [&](const onnx::Node& node) {
      if (is_if(node) || is_opaque_quantizer(node)) return;
      if (onnx_torch::find_operator(node.domain, node.op_type) != nullptr) return;
      std::string& nodes = missing[(node.domain.empty() ? "" : node.domain + ".") + node.op_type];
      std::string name = node.name;
      if (name.empty() && !node.outputs.empty() && node.outputs.front() != kNoValue) {
        name = graph_.values[slot_of(node.outputs.front())].name;
      }
      nodes += (nodes.empty() ? "" : ", ") + ("'" + shortened(name, 80) + "'");
    });
    if (missing.empty()) return;
    std::string text;
    for (const auto& [op_type, nodes] : missing) {
      text += (text.empty() ? "" : "; ") + op_type + " (" + nodes + ")";
    }
    throw Error(source_ + ": operators that cannot be computed: " + text);
  }

  void warn_of_newer_operators() {
    const auto found = graph_.operator_sets.find("");
    if (found == graph_.operator_sets.end() || found->second <= kNewestOperators) return;
    model_->warnings_.push_back(source_ + ": operator set " + std::to_string(found->second) +
                                ": its operators are taken for those of " +
                                std::to_string(kNewestOperators) + ", the newest that is known");
  }

  void add_inputs() {
    for (const ValueId id : graph_.block.inputs) {
      const onnx::Value& value = graph_.values[slot_of(id)];
      model_->inputs_.push_back({value.name, value.type});
      const onnx::DataType element = value.type ? value.type->element : onnx::DataType::undefined;
      if (element != onnx::DataType::undefined && !is_floating_point(element)) {
        plan_->pass_inputs.emplace_back();
        continue;
      }
      onnx_torch::BuiltLayer built = onnx_torch::build_passing_layer("input");
      plan_->pass_inputs.push_back(std::move(built.forward));
      add_layer({"input:" + value.name, "input", NamedLayer::Kind::input}, built.module);
    }
  }

  // Those that are read: one that cannot be a tensor may lie unused in the file.
  void read_constants() {
    plan_->constants.resize(graph_.values.size());
    std::unordered_set<ValueId> read(graph_.block.outputs.begin(), graph_.block.outputs.end());
    visit_nodes(graph_.block, [&](const onnx::Node& node) {
      read.insert(node.inputs.begin(), node.inputs.end());
      for (const auto& [name, inner] : node.blocks) {
        read.insert(inner.outputs.begin(), inner.outputs.end());
      }
    });
    for (std::size_t i = 0; i < graph_.values.size(); ++i) {
      const auto& constant = graph_.values[i].constant;
      if (constant == nullptr || !read.contains(static_cast<ValueId>(i))) continue;
      try {
        plan_->constants[i] = onnx_torch::tensor_of(*constant);
      } catch (const Error& error) {
        throw Error(source_ + ": tensor '" + shortened(graph_.values[i].name, 80) +
                    "': " + error.what());
      }
    }
  }

  Tensors constants_of(const std::vector<ValueId>& ids) const {
    Tensors found;
    for (const ValueId id : ids) {
      found.push_back(id == kNoValue ? at::Tensor() : plan_->constants[slot_of(id)]);
    }
    return found;
  }

  NodeView view_of(const onnx::Node& node) const {
    std::vector<onnx::DataType> types;
    for (const ValueId id : node.inputs) {
      types.push_back(id == kNoValue ? onnx::DataType::undefined
                                     : onnx::ValueFacts::of(facts_.type, id));
    }
    return {node, constants_of(node.inputs), std::move(types)};
  }

  // Whether all that the node reads is known. What branches read is not looked at.
  bool is_constant(const onnx::Node& node) const {
    if (!node.blocks.empty()) return false;
    for (const ValueId id : node.inputs) {
      if (id != kNoValue && !plan_->constants[slot_of(id)].defined()) return false;
    }
    return true;
  }

  // What the node computes.
  Function function_of(const onnx::Node& node, const NodeView& view) const {
    if (node.domain.empty() && node.version < kOldestOperators) {
      throw Error("operator set " + std::to_string(node.version) + ": expected " +
                  std::to_string(kOldestOperators) + " or newer");
    }
    if (is_opaque_quantizer(node)) return opaque_quantizer(view, model_->step_);
    return make_function(*onnx_torch::find_operator(node.domain, node.op_type), view);
  }

  // Computes the node if it depends on constants alone; says whether it does.
  bool fold(const onnx::Node& node) {
    if (!is_constant(node) || is_opaque_quantizer(node)) return false;
    try {
      const Tensors inputs = constants_of(node.inputs);
      const Tensors results = function_of(node, view_of(node))(inputs);
      onnx_torch::check_output_count(results, node.outputs);
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i] != kNoValue) plan_->constants[slot_of(node.outputs[i])] = results[i];
      }
      return true;
    } catch (const std::exception& error) {
      throw Error(place_of(node) + ": " + reason_of(error));
    }
  }

  std::vector<Step> steps_of(const onnx::Block& block) {
    // First all constants, for a layer's bias may be made behind it.
    std::vector<const onnx::Node*> others;
    for (const onnx::Node& node : block.nodes) {
      if (!fold(node)) others.push_back(&node);
    }
    std::vector<Step> steps;
    for (const onnx::Node* node : others) {
      if (!biases_.contains(node))
        steps.push_back(is_if(*node) ? branching(*node) : step_of(*node));
    }
    return steps;
  }

  Step step_of(const onnx::Node& node) {
    const std::string place = place_of(node);
    try {
      const NodeView view = view_of(node);
      Step step = {function_of(node, view), {}, node.inputs, node.outputs, {}, place};
      const onnx::Layer& layer = layers_.at(&node);
      if (layer.role != onnx::Layer::Role::other) step.layer = layer.name;
      if (layer.role == onnx::Layer::Role::computes) make_layer(layer, view, step);
      if (layer.role == onnx::Layer::Role::moves) make_mover(layer, step);
      return step;
    } catch (const std::exception& error) {
      throw Error(place + ": " + reason_of(error));
    }
  }

  Step branching(const onnx::Node& node) {
    const std::string place = place_of(node);
    const auto fail = [&](const std::string& reason) { throw Error(place + ": " + reason); };
    if (node.inputs.size() != 1 || node.inputs[0] == kNoValue) fail("expected one input");
    if (node.outputs.empty()) fail("it has no output");
    Step step = {{}, {}, node.inputs, node.outputs, {}, place};
    for (const char* name : {"then_branch", "else_branch"}) {
      const auto found = std::find_if(node.blocks.begin(), node.blocks.end(),
                                      [&](const auto& block) { return block.name == name; });
      if (found == node.blocks.end()) fail(std::string("it has no ") + name);
      const onnx::Block& block = found->block;
      if (!block.inputs.empty() || block.outputs.size() != node.outputs.size()) {
        fail(std::string(name) + ": expected no inputs and as many outputs as the node has");
      }
      step.branches.push_back({steps_of(block), block.outputs});
      for (const ValueId id : values_from_outside(step.branches.back(), plan_->constants)) {
        step.inputs.push_back(id);
      }
    }
    step.layer = layers_.at(&node).name;
    make_mover(layers_.at(&node), step);
    return step;
  }

  void make_layer(const onnx::Layer& layer, const NodeView& view, Step& step) {
    for (const ValueId weight : layer.weights) parameter_of(weight, "weight");
    if (!layer.weights.empty()) {
      const auto sizes = parameter_of(layer.weights.front(), "weight").sizes();
      step.products = onnx::product_counts(layer, {sizes.data(), sizes.size()});
    }
    const at::Tensor bias =
        layer.bias == kNoValue ? at::Tensor() : parameter_of(layer.bias, "bias");
    const bool is_exact = layer.has_integer_factors && options_.sums == Sums::exact;
    const onnx_torch::FactorScales scales =
        is_exact ? scales_of(*layer.node) : onnx_torch::FactorScales{};
    if (is_exact) model_->exact_layers_.push_back(layer.name);
    onnx_torch::BuiltLayer built =
        onnx_torch::build_layer(view, layer, step.run, bias, is_exact ? &scales : nullptr);
    step.run = std::move(built.forward);
    if (layer.bias_node != nullptr) {
      biases_.insert(layer.bias_node);
      step.outputs = layer.bias_node->outputs;
    }
    const std::string number = std::to_string(layer_count_);
    add_layer({layer.name, layer.node->op_type}, built.module);
    const auto parameters = built.module->named_parameters(/*recurse=*/false);
    for (const std::size_t input : layer.weight_inputs) {
      const std::string role = onnx_torch::weight_name(layer.node->op_type, input);
      if (parameters.contains(role)) {
        add_source(layer, number, role, built.weight_is_turned, *layer.node, input);
      }
    }
    if (parameters.contains("bias")) {
      const onnx::Node& reader = layer.bias_node != nullptr ? *layer.bias_node : *layer.node;
      const auto found = std::find(reader.inputs.begin(), reader.inputs.end(), layer.bias);
      add_source(layer, number, "bias", false, reader,
                 layer.bias_node == nullptr
                     ? layer.bias_input
                     : static_cast<std::size_t>(found - reader.inputs.begin()));
    }
  }

  const at::Tensor& parameter_of(ValueId id, const char* role) const {
    const at::Tensor& found = plan_->constants[slot_of(id)];
    if (!found.defined()) {
      throw Error(std::string("its ") + role + " '" +
                  shortened(graph_.values[slot_of(id)].name, 80) +
                  "' cannot be computed before the model runs");
    }
    return found;
  }

  void add_source(const onnx::Layer& layer, const std::string& number, const std::string& role,
                  bool is_turned, const onnx::Node& node, std::size_t input) {
    const at::Tensor& constant = plan_->constants[slot_of(node.inputs[input])];
    model_->sources_.push_back({number + "." + role, is_turned, layer.name + "." + role,
                                graph_.values[slot_of(node.outputs.front())].name, input,
                                data_type_of(constant), constant.sizes().vec()});
  }

  void make_mover(const onnx::Layer& layer, Step& step) {
    const std::string& type = layer.node->op_type;
    onnx_torch::BuiltLayer built = onnx_torch::build_passing_layer(type);
    step.run = step.branches.empty()
                   ? [move = std::move(step.run), pass = std::move(built.forward)](
                         Tensors in) { return pass(move(std::move(in))); }
                   : std::move(built.forward);
    add_layer({layer.name, type, NamedLayer::Kind::mover}, built.module);
  }

  // Parameters are called by the number of their layer.
  void add_layer(NamedLayer key, const std::shared_ptr<torch::nn::Module>& module) {
    const bool is_plain = key.kind == NamedLayer::Kind::layer;
    std::size_t& number = is_plain ? layer_count_ : passing_count_;
    model_->register_module((is_plain ? "" : "passing") + std::to_string(number++), module);
    model_->layers_.push_back({std::move(key), module.get()});
  }

  // Of a node with integer factors.
  onnx_torch::FactorScales scales_of(const onnx::Node& node) const {
    const auto scale = [this](ValueId factor) {
      const onnx::Node* maker = onnx::ValueFacts::of(facts_.maker, factor);
      return plan_->constants[slot_of(maker->inputs[1])].reshape({-1});
    };
    return {scale(node.inputs[0]), scale(node.inputs[1])};
  }

  const onnx::Graph& graph_;
  const std::string& source_;
  OnnxOptions options_;
  onnx::ValueFacts facts_;
  std::shared_ptr<onnx_torch::Plan> plan_;
  std::shared_ptr<OnnxModel> model_ = std::make_shared<OnnxModel>();
  std::unordered_map<const onnx::Node*, onnx::Layer> layers_;
  std::size_t layer_count_ = 0, passing_count_ = 0;
  std::unordered_set<const onnx::Node*> biases_;  // nodes that are part of a layer before them
};

namespace {

bool is_of_type(const at::Tensor& x, onnx::DataType type) {
  try {
    return x.scalar_type() == onnx_torch::held_type(type);
  } catch (const Error&) {
    return false;  // of none that libtorch has
  }
}

// [n, 3, ?]
std::string to_text(const std::vector<onnx::Dimension>& shape) {
  std::string text;
  for (const onnx::Dimension& dimension : shape) {
    const auto* number = std::get_if<std::int64_t>(&dimension);
    const std::string one = number == nullptr ? std::get<std::string>(dimension)
                            : *number < 0     ? ""
                                              : std::to_string(*number);
    text += (text.empty() ? "" : ", ") + (one.empty() ? "?" : shortened(one, 80));
  }
  return "[" + text + "]";
}

void check_input(const OnnxModel::Port& port, const at::Tensor& x) {
  if (!port.type) return;
  const auto fail = [&](const std::string& reason) {
    throw Error("input '" + shortened(port.name, 80) + "': " + reason);
  };
  const onnx::DataType element = port.type->element;
  if (element != onnx::DataType::undefined && !is_of_type(x, element)) {
    fail("expected numbers of type " + name_of(port.type->element) + ", found " +
         at::toString(x.scalar_type()));
  }
  if (!port.type->shape) return;
  const std::vector<onnx::Dimension>& shape = *port.type->shape;
  bool fits = shape.size() == x.sizes().size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    const auto* wanted = std::get_if<std::int64_t>(&shape[i]);
    const bool is_known = wanted != nullptr && *wanted >= 0;  // some writers say -1 for any
    fits = !is_known || *wanted == x.size(static_cast<std::int64_t>(i));
  }
  if (fits) return;
  fail("expected the shape " + to_text(shape) + ", found " +
       onnx::to_string({x.sizes().data(), x.sizes().size()}));
}

}  // namespace

Tensors OnnxModel::slots_of(Tensors inputs) const {
  if (inputs.size() != inputs_.size()) {
    throw Error("the model has " + std::to_string(inputs_.size()) + " inputs, not " +
                std::to_string(inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) check_input(inputs_[i], inputs[i]);
  Tensors slots = plan_->constants;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    at::Tensor& slot = slots[slot_of(plan_->inputs[i])];
    slot = std::move(inputs[i]);
    if (plan_->pass_inputs[i]) slot = std::move(plan_->pass_inputs[i]({slot}).front());
  }
  return slots;
}

Tensors OnnxModel::outputs_in(const Tensors& slots) const {
  Tensors outputs;
  for (const ValueId id : plan_->outputs) outputs.push_back(slots[slot_of(id)]);
  return outputs;
}

std::vector<at::Tensor> OnnxModel::forward(std::vector<at::Tensor> inputs) const {
  Tensors slots = slots_of(std::move(inputs));
  run_steps(plan_->steps, slots);
  return outputs_in(slots);
}

std::vector<NamedLayers::Layer> OnnxModel::named_layers() const { return layers_; }

std::vector<onnx::NewConstant> OnnxModel::constants() const {
  const auto parameters = named_parameters();
  std::vector<onnx::NewConstant> found;
  for (const Source& source : sources_) {
    at::Tensor x = parameters[source.parameter].detach();
    if (source.is_turned) x = x.t();
    x = x.contiguous();
    onnx::Tensor tensor = onnx::make_tensor(
        source.type, source.dims,
        std::as_bytes(std::span(static_cast<const std::byte*>(x.data_ptr()), x.nbytes())));
    tensor.name = source.wish;
    found.push_back({source.node_output, source.input, std::move(tensor)});
  }
  return found;
}

std::shared_ptr<OnnxModel> make_onnx_model(onnx::ModelProto model, const std::string& source,
                                           const OnnxOptions& options) {
  const onnx::Graph graph = onnx::make_graph(std::move(model), source);
  return OnnxModelBuilder(graph, source, options).build();
}

std::shared_ptr<OnnxModel> load_onnx(const std::filesystem::path& path,
                                     const OnnxOptions& options) {
  return make_onnx_model(onnx::read_model(path), path.string(), options);
}

}  // namespace tensorquant
