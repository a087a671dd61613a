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
#include "tensorquant/onnx_torch/layers.h"
#include "tensorquant/onnx_torch/operators/operators.h"

namespace tensorquant {

using onnx::kNoValue;
using onnx::ValueId;
using onnx_torch::Function;
using onnx_torch::NodeView;
using onnx_torch::Tensors;

// What a call does, in order. Values are in slots, by the numbers of the graph.
struct OnnxModel::Plan {
  struct Step {
    Function run;
    std::vector<ValueId> inputs, outputs;
    std::vector<ValueId> last_read;  // values that nobody reads after it
    std::string place;               // "net.onnx: node 'conv1' (Conv)"

    void run_on(Tensors& slots) const;
  };

  Tensors constants;  // the slots at the beginning
  std::vector<ValueId> inputs, outputs;
  std::vector<Function> pass_inputs;  // for each input what may quantize it; none of integers
  std::vector<Step> steps;
};

namespace {

// The meaning of broadcasting changed with operator set 7. Of later ones than the newest nothing is
// known here.
constexpr std::int64_t kOldestOperators = 7, kNewestOperators = 26;

std::size_t slot_of(ValueId id) { return static_cast<std::size_t>(id); }

// The first line of libtorch's messages says it; what follows is where in libtorch.
std::string reason_of(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

onnx::DataType data_type_of(const at::Tensor& floats) {
  for (const onnx::DataType type :
       {onnx::DataType::f32, onnx::DataType::f64, onnx::DataType::f16, onnx::DataType::bf16}) {
    if (onnx_torch::scalar_type_of(type) == floats.scalar_type()) return type;
  }
  throw Error(std::string("a weight of type ") + at::toString(floats.scalar_type()));
}

void check_count(const Tensors& results, const std::vector<ValueId>& outputs) {
  if (results.size() >= outputs.size()) return;
  throw Error("it has " + std::to_string(outputs.size()) + " outputs, but makes " +
              std::to_string(results.size()));
}

}  // namespace

class OnnxModelBuilder {
 public:
  OnnxModelBuilder(const onnx::Graph& graph, const std::string& source, onnx::NameSource names)
      : graph_(graph), source_(source), names_(names), plan_(std::make_shared<OnnxModel::Plan>()) {}

  std::shared_ptr<OnnxModel> build() {
    refuse_missing_operators();
    warn_of_newer_operators();
    read_constants();
    for (const onnx::Layer& layer : onnx::layers_of(graph_, names_))
      layers_.emplace(layer.node, layer);
    add_inputs();
    // First all constants, for a layer's bias may be made behind it.
    std::vector<const onnx::Node*> others;
    for (const onnx::Node& node : graph_.block.nodes) {
      if (!fold(node)) others.push_back(&node);
    }
    for (const onnx::Node* node : others) {
      if (!biases_.contains(node)) add(*node);
    }
    plan_->inputs = graph_.block.inputs;
    plan_->outputs = graph_.block.outputs;
    find_last_readers();
    model_->output_names_ = graph_.output_names;
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
    for (const onnx::Node& node : graph_.block.nodes) {
      if (onnx_torch::find_operator(node.domain, node.op_type) != nullptr) continue;
      std::string& nodes = missing[(node.domain.empty() ? "" : node.domain + ".") + node.op_type];
      std::string name = node.name;
      if (name.empty() && !node.outputs.empty() && node.outputs.front() != kNoValue) {
        name = graph_.values[slot_of(node.outputs.front())].name;
      }
      nodes += (nodes.empty() ? "" : ", ") + ("'" + shortened(name, 80) + "'");
    }
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
    for (const onnx::Node& node : graph_.block.nodes) {
      read.insert(node.inputs.begin(), node.inputs.end());
    }
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

  // Whether all that the node reads is known.
  bool is_constant(const onnx::Node& node) const {
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
    const onnx_torch::Operator& op = *onnx_torch::find_operator(node.domain, node.op_type);
    check_inputs_and_outputs(op, view);
    return op.make(view);
  }

  // Computes the node if it depends on constants alone; says whether it does.
  bool fold(const onnx::Node& node) {
    if (!is_constant(node)) return false;
    try {
      const Tensors inputs = constants_of(node.inputs);
      const Tensors results = function_of(node, NodeView(node, inputs))(inputs);
      check_count(results, node.outputs);
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i] != kNoValue) plan_->constants[slot_of(node.outputs[i])] = results[i];
      }
      return true;
    } catch (const std::exception& error) {
      throw Error(place_of(node) + ": " + reason_of(error));
    }
  }

  void add(const onnx::Node& node) {
    const std::string place = place_of(node);
    try {
      const NodeView view(node, constants_of(node.inputs));
      OnnxModel::Plan::Step step = {function_of(node, view), node.inputs, node.outputs, {}, place};
      const onnx::Layer& layer = layers_.at(&node);
      if (layer.role == onnx::Layer::Role::computes) make_layer(layer, view, step);
      if (layer.role == onnx::Layer::Role::moves) make_mover(layer, step);
      plan_->steps.push_back(std::move(step));
    } catch (const std::exception& error) {
      throw Error(place + ": " + reason_of(error));
    }
  }

  void make_layer(const onnx::Layer& layer, const NodeView& view, OnnxModel::Plan::Step& step) {
    const at::Tensor bias =
        layer.bias == kNoValue ? at::Tensor() : plan_->constants[slot_of(layer.bias)];
    if (layer.bias != kNoValue && !bias.defined()) {
      throw Error("its bias '" + shortened(graph_.values[slot_of(layer.bias)].name, 80) +
                  "' cannot be computed before the model runs");
    }
    onnx_torch::BuiltLayer built = onnx_torch::build_layer(view, layer, step.run, bias);
    step.run = std::move(built.forward);
    if (layer.bias_node != nullptr) {
      biases_.insert(layer.bias_node);
      step.outputs = layer.bias_node->outputs;
    }
    const std::string number = std::to_string(layer_count_);
    add_layer({layer.name, layer.node->op_type}, built.module);
    const auto parameters = built.module->named_parameters(/*recurse=*/false);
    if (parameters.contains("weight")) {
      add_source(layer, number, "weight", built.weight_is_turned, *layer.node,
                 layer.weight_inputs.front());
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

  void add_source(const onnx::Layer& layer, const std::string& number, const std::string& role,
                  bool is_turned, const onnx::Node& node, std::size_t input) {
    const at::Tensor& constant = plan_->constants[slot_of(node.inputs[input])];
    model_->sources_.push_back({number + "." + role, is_turned, layer.name + "." + role,
                                graph_.values[slot_of(node.outputs.front())].name, input,
                                data_type_of(constant), constant.sizes().vec()});
  }

  void make_mover(const onnx::Layer& layer, OnnxModel::Plan::Step& step) {
    const std::string& type = layer.node->op_type;
    onnx_torch::BuiltLayer built = onnx_torch::build_passing_layer(type);
    step.run = [move = std::move(step.run), pass = std::move(built.forward)](const Tensors& in) {
      return pass(move(in));
    };
    add_layer({layer.name, type, NamedLayer::Kind::mover}, built.module);
  }

  // Parameters are called by the number of their layer.
  void add_layer(NamedLayer key, const std::shared_ptr<torch::nn::Module>& module) {
    const bool is_plain = key.kind == NamedLayer::Kind::layer;
    std::size_t& number = is_plain ? layer_count_ : passing_count_;
    model_->register_module((is_plain ? "" : "passing") + std::to_string(number++), module);
    model_->layers_.push_back({std::move(key), module.get()});
  }

  // Tensors die after their last use; outputs and constants stay.
  void find_last_readers() {
    std::unordered_set<ValueId> read(plan_->outputs.begin(), plan_->outputs.end());
    for (auto step = plan_->steps.rbegin(); step != plan_->steps.rend(); ++step) {
      for (const auto* ids : {&step->inputs, &step->outputs}) {
        for (const ValueId id : *ids) {
          if (id == kNoValue || plan_->constants[slot_of(id)].defined()) continue;
          if (read.insert(id).second) step->last_read.push_back(id);
        }
      }
    }
  }

  const onnx::Graph& graph_;
  const std::string& source_;
  onnx::NameSource names_;
  std::shared_ptr<OnnxModel::Plan> plan_;
  std::shared_ptr<OnnxModel> model_ = std::make_shared<OnnxModel>();
  std::unordered_map<const onnx::Node*, onnx::Layer> layers_;
  std::size_t layer_count_ = 0, passing_count_ = 0;
  std::unordered_set<const onnx::Node*> biases_;  // nodes that are part of a layer before them
};

void OnnxModel::Plan::Step::run_on(Tensors& slots) const {
  Tensors results;
  {
    Tensors given;
    given.reserve(inputs.size());
    for (const ValueId id : inputs) {
      given.push_back(id == kNoValue ? at::Tensor() : slots[slot_of(id)]);
    }
    for (const ValueId id : last_read) slots[slot_of(id)].reset();
    results = run(given);
    check_count(results, outputs);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const bool is_read =
        std::find(last_read.begin(), last_read.end(), outputs[i]) == last_read.end();
    if (outputs[i] != kNoValue && is_read) slots[slot_of(outputs[i])] = std::move(results[i]);
  }
}

namespace {

bool is_of_type(const at::Tensor& x, onnx::DataType type) {
  try {
    return x.scalar_type() == onnx_torch::scalar_type_of(type);
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

std::vector<at::Tensor> OnnxModel::forward(std::vector<at::Tensor> inputs) const {
  if (inputs.size() != inputs_.size()) {
    throw Error("the model has " + std::to_string(inputs_.size()) + " inputs, not " +
                std::to_string(inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) check_input(inputs_[i], inputs[i]);
  Tensors slots = plan_->constants;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    at::Tensor& slot = slots[slot_of(plan_->inputs[i])];
    slot = std::move(inputs[i]);
    if (plan_->pass_inputs[i]) slot = plan_->pass_inputs[i]({slot}).front();
  }
  for (const Plan::Step& step : plan_->steps) {
    try {
      step.run_on(slots);
    } catch (const std::exception& error) {
      throw Error(step.place + ": " + reason_of(error));
    }
  }
  Tensors outputs;
  for (const ValueId id : plan_->outputs) outputs.push_back(slots[slot_of(id)]);
  return outputs;
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
                                           onnx::NameSource names) {
  const onnx::Graph graph = onnx::make_graph(std::move(model), source);
  return OnnxModelBuilder(graph, source, names).build();
}

std::shared_ptr<OnnxModel> load_onnx(const std::filesystem::path& path, onnx::NameSource names) {
  return make_onnx_model(onnx::read_model(path), path.string(), names);
}

}  // namespace tensorquant
