#include "tensorquant/onnx/export/export_model.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "tensorquant/base/error.h"
#include "tensorquant/base/random.h"
#include "tensorquant/maps/assign.h"
#include "tensorquant/onnx/export/kept_maps.h"
#include "tensorquant/onnx/export/reader_limits.h"
#include "tensorquant/onnx/graph/flat_model.h"
#include "tensorquant/onnx/names/axes.h"
#include "tensorquant/onnx/names/layers.h"
#include "tensorquant/onnx/names/values.h"

namespace tensorquant::onnx {
namespace {

using QuantizerPtr = std::shared_ptr<const Quantizer>;

// A weight or bias of a layer: an input of one of the flat model's nodes.
struct Parameter {
  const QuantizerPtr& quantizer;
  std::string role;  // as streams call it: "weight", "weight1", "bias"
  std::size_t node, input;
  WeightAxes axes;
};

std::size_t from_begin(int axis, std::size_t rank) {
  const int count = static_cast<int>(rank);
  return static_cast<std::size_t>(std::clamp(axis < 0 ? axis + count : axis, 0, count - 1));
}

// Of a constant with these sizes.
Layout layout_of(const std::vector<std::int64_t>& dims, const WeightAxes& axes) {
  const auto along = [&](int axis) {
    if (dims.empty()) return Axis{};
    const std::size_t begin = dims.size() < 2 ? 0 : from_begin(axis, dims.size());
    return axis_of(dims, begin, begin + 1);
  };
  return {along(axes.channel), along(axes.reduction)};
}

class Exporter {
 public:
  Exporter(const Graph& graph, std::int64_t ir_version, const Override& maps,
           const ExportOptions& options)
      : graph_(graph),
        maps_(maps),
        options_(options),
        facts_(facts_of(graph)),
        layers_(layers_of(graph)) {
    exported_.model = flat_model(graph, ir_version);
    const auto found = graph.operator_sets.find("");
    version_ = found == graph.operator_sets.end() ? 0 : found->second;
    for (std::size_t i = 0; i < graph.block.nodes.size(); ++i) {
      places_.emplace(&graph.block.nodes[i], i);
    }
    const auto& tensors = exported_.model.graph.initializers;
    for (std::size_t i = 0; i < tensors.size(); ++i) initializers_.emplace(tensors[i].name, i);
    for (const NodeProto& node : exported_.model.graph.nodes) note_reads(node, reads_);
    for (const ValueInfo& output : exported_.model.graph.outputs) reads_.push_back(output.name);
  }

  ExportedModel run() {
    const std::vector<AssignableLayer> told = told_inputs_and_layers();
    Assignment assignment = assign(maps_, told);
    exported_.idle = assignment.idle;
    for (std::size_t i = 0; i < told.size(); ++i) {
      const LayerQuantizers& quantizers = assignment.layers[i];
      if (!quantizers.any()) continue;
      const auto fault = [&](const std::string& reason) {
        assignment.faults.add_of_layer(told[i].text(), reason);
      };
      if (i >= inputs_.size()) {
        export_layer(*quantizable_[i - inputs_.size()], quantizers, fault);
      } else if (quantizers.output != nullptr) {
        attempt(fault, [&] {
          quantize_input(inputs_[i], *quantizers.output, context_of(quantizers, 0, kInputAxis));
        });
      }
    }
    assignment.faults.refuse();
    put_nodes_in();
    finish_model();
    return std::move(exported_);
  }

 private:
  // What rules may hit: the inputs of numbers with fractions, then the nodes.
  std::vector<AssignableLayer> told_inputs_and_layers() {
    using enum AssignableLayer::Arithmetic;
    std::vector<AssignableLayer> told;
    for (const ValueId id : graph_.block.inputs) {
      if (is_known_integer(id)) continue;
      inputs_.push_back(id);
      told.push_back({{"input:" + graph_.values[static_cast<std::size_t>(id)].name},
                      "input",
                      nothing,
                      "",
                      NamedLayer::Kind::input});
    }
    for (const Layer& layer : layers_) {
      if (layer.role == Layer::Role::other) continue;
      const bool moves = layer.role == Layer::Role::moves;
      quantizable_.push_back(&layer);
      told.push_back({{layer.name},
                      layer.node->op_type,
                      moves ? nothing : rounded,
                      "",
                      moves ? NamedLayer::Kind::mover : NamedLayer::Kind::layer});
    }
    return told;
  }

  bool is_known_integer(ValueId id) const {
    const DataType type = ValueFacts::of(facts_.type, id);
    return type != DataType::undefined && !is_floating_point(type);
  }

  template <class Fault>
  void export_layer(const Layer& layer, const LayerQuantizers& quantizers, const Fault& fault) {
    if (!places_.contains(layer.node)) return fault("lies in a subgraph");
    if (quantizers.product != nullptr && !options_.has_maps_in_metadata) {
      fault("rounded arithmetic has no form in ONNX; the maps can stand in the metadata");
    }
    for (const Parameter& parameter : parameters_of(layer, quantizers)) {
      attempt(fault, [&] { export_parameter(layer, parameter, quantizers.seed); });
    }
    if (quantizers.output == nullptr) return;
    const Node& last = layer.bias_node != nullptr ? *layer.bias_node : *layer.node;
    const std::size_t place = places_.at(&last);
    for (std::size_t i = 0; i < quantized_outputs(layer); ++i) {
      if (last.outputs[i] == kNoValue || is_known_integer(last.outputs[i])) continue;
      const OpaqueContext context = context_of(quantizers, i, output_axis(layer));
      attempt(fault, [&] { quantize_output(last, place, i, *quantizers.output, context); });
    }
    for (const std::string& warning :
         limits_of(options_.reader, *quantizers.output, last.op_type)) {
      exported_.warnings.push_back("'" + layer.name + "': " + warning);
    }
  }

  template <class Fault, class Function>
  static void attempt(const Fault& fault, const Function& function) {
    try {
      function();
    } catch (const Error& error) {
      fault(error.what());
    }
  }

  std::vector<Parameter> parameters_of(const Layer& layer,
                                       const LayerQuantizers& quantizers) const {
    std::vector<Parameter> found;
    const std::size_t node = places_.at(layer.node);
    if (quantizers.weight != nullptr) {
      for (std::size_t i = 0; i < layer.weight_inputs.size(); ++i) {
        const std::string role = i == 0 ? "weight" : "weight" + std::to_string(i);
        found.push_back(
            {quantizers.weight, role, node, layer.weight_inputs[i], weight_axes(layer, i)});
      }
    }
    if (quantizers.bias != nullptr && layer.bias != kNoValue) {
      const bool is_behind = layer.bias_node != nullptr;
      const std::size_t input =
          is_behind ? (layer.bias_node->inputs[0] == layer.bias ? 0 : 1) : layer.bias_input;
      const std::size_t place = is_behind ? places_.at(layer.bias_node) : node;
      found.push_back({quantizers.bias, "bias", place, input, kBiasAxes});
    }
    return found;
  }

  void export_parameter(const Layer& layer, const Parameter& parameter, std::uint64_t seed) {
    std::string& input = exported_.model.graph.nodes[parameter.node].inputs[parameter.input];
    const auto found = initializers_.find(input);
    const std::string what = "its " + parameter.role + " '" + input + "'";
    if (found == initializers_.end() && !options_.keeps_weights) {
      throw Error(
          what +
          " is what other nodes make of a constant; keep the weights, with nodes behind them");
    }
    const Tensor* tensor =
        found == initializers_.end() ? nullptr : &exported_.model.graph.initializers[found->second];
    if (tensor != nullptr && tensor->type != DataType::f32) {
      throw Error(what + " is of type " + name_of(tensor->type));
    }
    // A tensor that this node alone reads keeps its name, which may be the layer's.
    const bool is_shared = std::count(reads_.begin(), reads_.end(), input) > 1;
    const std::string name =
        is_shared ? unused(input + "/" + layer.name + "/" + parameter.role) : input;
    if (options_.keeps_weights) {
      NodeMaker maker(unused(name + "/" + parameter.role + "/"), version_,
                      NodeMaker::Constants::initializers);
      std::optional<FoundScales> scales;
      if (tensor != nullptr) scales = scales_of(*tensor, parameter);
      const int rank = tensor == nullptr ? 0 : static_cast<int>(tensor->dims.size());
      const std::string last = add_quantizer(maker, options_.dialect, *parameter.quantizer, input,
                                             scales ? &*scales : nullptr, rank);
      take(*parameter.quantizer, maker);
      mark(maker, input, last);
      before_[parameter.node].insert(before_[parameter.node].end(), maker.nodes.begin(),
                                     maker.nodes.end());
      input = last;
      return;
    }
    Tensor quantized = *tensor;
    quantized.name = name;
    const std::span<float> numbers{reinterpret_cast<float*>(quantized.bytes.data()),
                                   quantized.bytes.size() / sizeof(float)};
    const Context context = {seed, stream_of(layer.name, parameter.role)};
    quantize_parameter(*parameter.quantizer, numbers, tensor->dims, parameter.axes, context);
    if (is_shared) {
      input = name;
      added_.push_back(std::move(quantized));
    } else {
      exported_.model.graph.initializers[found->second] = std::move(quantized);
    }
  }

  // In place.
  static void quantize_parameter(const Quantizer& quantizer, std::span<float> numbers,
                                 std::vector<std::int64_t> dims, WeightAxes axes, Context context) {
    const bool is_turned = axes.is_turned && dims.size() == 2;
    std::vector<float> turned;
    const auto rows = static_cast<std::size_t>(is_turned ? dims[0] : 0);
    const auto columns = static_cast<std::size_t>(is_turned ? dims[1] : 0);
    if (is_turned) {
      turned.resize(numbers.size());
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c < columns; ++c) turned[c * rows + r] = numbers[r * columns + c];
      }
      std::swap(dims[0], dims[1]);
      axes = {0, 1};
    }
    context.layout = layout_of(dims, axes);
    const std::span<float> all = is_turned ? std::span<float>(turned) : numbers;
    quantizer.quantize(std::span<const float>(all), all, context);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) numbers[r * columns + c] = turned[c * rows + r];
    }
  }

  // Those that a quantizer finds in a weight, if it finds any.
  static std::optional<FoundScales> scales_of(const Tensor& tensor, const Parameter& parameter) {
    const Scaled* scaled = scaled_format(*parameter.quantizer);
    if (scaled == nullptr || !finds_scales(*scaled)) return std::nullopt;
    const Scale::Per per = scaled->scale.per;
    if (per != Scale::Per::tensor && per != Scale::Per::channel) {
      throw Error("scales of rows and blocks are not written as nodes");
    }
    if (scaled->scale.has_zero_point())
      throw Error("zero points that are found are not written as nodes");
    const Context context = {0, 0, 0, layout_of(tensor.dims, parameter.axes)};
    const ScaledParts<float> parts = split_reference(*scaled, tensor.as<float>(), context);
    FoundScales found{parts.scales, 0};
    for (const float scale : found.scales) {
      if (!(scale > 0)) throw Error("a group of its numbers has no scale");
    }
    if (tensor.dims.size() > 1) {
      found.axis =
          static_cast<std::int64_t>(from_begin(parameter.axes.channel, tensor.dims.size()));
    }
    const auto* fixed = std::get_if<FixedPoint>(&scaled->element);
    if (fixed != nullptr && fixed->fraction != 0) throw Error("its integers have a fraction");
    return found;
  }

  static OpaqueContext context_of(const LayerQuantizers& quantizers, std::size_t output, int axis) {
    const std::uint32_t stream =
        stream_of(quantizers.layer, Place::output, static_cast<int>(output));
    return {quantizers.seed, stream, axis};
  }

  void quantize_output(const Node& node, std::size_t place, std::size_t output,
                       const Quantizer& quantizer, const OpaqueContext& context) {
    check_type(node.outputs[output]);
    std::string& name = exported_.model.graph.nodes[place].outputs[output];
    const std::string end = name, begin = unused(end + ".float");
    NodeMaker maker = chain(quantizer, context, begin, end);
    mark(maker, end, begin);
    name = begin;
    auto& behind = behind_[place];
    behind.insert(behind.end(), maker.nodes.begin(), maker.nodes.end());
  }

  void quantize_input(ValueId id, const Quantizer& quantizer, const OpaqueContext& context) {
    check_type(id);
    const std::string begin = graph_.values[static_cast<std::size_t>(id)].name;
    const auto& given = graph_.block.outputs;
    if (std::find(given.begin(), given.end(), id) != given.end()) {
      throw Error("'" + begin + "' is an output of the model, too");
    }
    const std::string end = unused(begin + ".quantized");
    NodeMaker maker = chain(quantizer, context, begin, end);
    mark(maker, begin, end);
    for (NodeProto& node : exported_.model.graph.nodes) replace_reads(node, begin, end);
    auto& first = behind_[kBegin];
    first.insert(first.end(), maker.nodes.begin(), maker.nodes.end());
  }

  // From the value `begin` to the value `end`.
  NodeMaker chain(const Quantizer& quantizer, const OpaqueContext& context,
                  const std::string& begin, const std::string& end) {
    const NodeMaker empty(unused(end + "/"), version_, NodeMaker::Constants::initializers);
    NodeMaker maker = empty;
    try {
      add_quantizer(maker, options_.dialect, quantizer, begin);
    } catch (const Error&) {
      if (!options_.is_opaque) throw;
      maker = empty;
      add_opaque_quantizer(maker, quantizer, begin, context);
    }
    maker.nodes.back().outputs = {end};
    take(quantizer, maker);
    return maker;
  }

  void mark(NodeMaker& maker, const std::string& original, const std::string& added) const {
    if (options_.has_maps_in_metadata) mark_quantizer(maker.nodes, original, added);
  }

  // The constants of a chain, and the function that it calls.
  void take(const Quantizer& quantizer, NodeMaker& maker) {
    for (Tensor& tensor : maker.initializers) added_.push_back(std::move(tensor));
    for (const NodeProto& node : maker.nodes) domains_.insert(node.domain);
    const bool is_opaque = maker.nodes.back().op_type == kOpaqueOperator;
    if (options_.dialect != Dialect::functions || is_opaque) return;
    functions_.try_emplace(function_name(quantizer.spec()), quantizer.spec());
  }

  void check_type(ValueId id) const {
    const DataType type = ValueFacts::of(facts_.type, id);
    if (type == DataType::undefined || type == DataType::f32) return;
    throw Error("'" + graph_.values[static_cast<std::size_t>(id)].name + "' is of type " +
                name_of(type));
  }

  std::string unused(const std::string& name) {
    if (used_.empty()) {
      for (const Value& value : graph_.values) used_.insert(value.name);
    }
    std::string found = name;
    for (int count = 2; !used_.insert(found).second; ++count) {
      found = name + "#" + std::to_string(count);
    }
    return found;
  }

  void put_nodes_in() {
    std::vector<NodeProto> all = std::move(behind_[kBegin]);
    std::vector<NodeProto>& nodes = exported_.model.graph.nodes;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (NodeProto& node : before_[i]) all.push_back(std::move(node));
      all.push_back(std::move(nodes[i]));
      for (NodeProto& node : behind_[i]) all.push_back(std::move(node));
    }
    nodes = std::move(all);
  }

  void finish_model() {
    ModelProto& model = exported_.model;
    std::vector<std::string> reads;
    for (const NodeProto& node : model.graph.nodes) note_reads(node, reads);
    for (const ValueInfo& output : model.graph.outputs) reads.push_back(output.name);
    const std::unordered_set<std::string> read(reads.begin(), reads.end());
    std::erase_if(model.graph.initializers,
                  [&](const Tensor& tensor) { return !read.contains(tensor.name); });
    for (Tensor& tensor : added_) model.graph.initializers.push_back(std::move(tensor));
    for (const std::string& domain : domains_) {
      if (!domain.empty() && !graph_.operator_sets.contains(domain)) {
        model.operator_sets.push_back({domain, 1});
      }
    }
    for (const auto& [name, spec] : functions_) {
      model.functions.push_back(quantizer_function(*make_quantizer(spec), version_));
      model.metadata.emplace_back("tensorquant.function." + name, spec);
    }
    if (!functions_.empty()) model.ir_version = std::max<std::int64_t>(model.ir_version, 8);
    if (options_.has_maps_in_metadata) keep_maps(model, maps_);
    model.producer_name = "tensorquant";
  }

  static void replace_reads(NodeProto& node, const std::string& before, const std::string& after) {
    std::replace(node.inputs.begin(), node.inputs.end(), before, after);
    for (Attribute& attribute : node.attributes) {
      for (GraphProto& graph : attribute.graphs) {
        for (NodeProto& inner : graph.nodes) replace_reads(inner, before, after);
      }
    }
  }

  static void note_reads(const NodeProto& node, std::vector<std::string>& read) {
    read.insert(read.end(), node.inputs.begin(), node.inputs.end());
    for (const Attribute& attribute : node.attributes) {
      for (const GraphProto& graph : attribute.graphs) {
        for (const NodeProto& inner : graph.nodes) note_reads(inner, read);
        for (const ValueInfo& output : graph.outputs) read.push_back(output.name);
      }
    }
  }

  static constexpr std::size_t kBegin = SIZE_MAX;  // the place before all nodes
  static constexpr int kInputAxis = 1;             // of the channels of a model's input

  const Graph& graph_;
  const Override& maps_;
  const ExportOptions& options_;
  const ValueFacts facts_;
  const std::vector<Layer> layers_;
  std::vector<ValueId> inputs_;  // those that rules may hit; likewise nodes
  std::vector<const Layer*> quantizable_;
  std::vector<std::string> reads_;  // of all nodes
  ExportedModel exported_;
  std::int64_t version_ = 0;
  std::unordered_map<const Node*, std::size_t> places_;
  std::unordered_map<std::string, std::size_t> initializers_;
  std::unordered_map<std::size_t, std::vector<NodeProto>> before_, behind_;
  std::vector<Tensor> added_;
  std::unordered_set<std::string> domains_, used_;
  std::map<std::string, std::string> functions_;  // quantizer strings, by their functions' names
};

}  // namespace

ExportedModel export_model(const Graph& graph, std::int64_t ir_version, const Override& maps,
                           const ExportOptions& options) {
  return Exporter(graph, ir_version, maps, options).run();
}

}  // namespace tensorquant::onnx
