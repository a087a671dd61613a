#include "tensorquant/onnx/names/values.h"

#include <algorithm>
#include <string_view>

namespace tensorquant::onnx {
namespace {

using Origin = ValueFacts::Origin;

template <std::size_t n>
bool is_one_of(const std::string_view (&names)[n], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::string_view kBooleans[] = {
    "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Not",
    "And",   "Or",   "Xor",         "IsNaN",   "IsInf"};
constexpr std::string_view kIntegers[] = {
    "NonMaxSuppression", "Shape", "Size", "ArgMax", "ArgMin", "NonZero"};
constexpr std::string_view kSums[] = {"ConvInteger", "MatMulInteger"};

class FactFinder {
 public:
  explicit FactFinder(const Graph& graph) : graph_(graph) {
    const std::size_t count = graph.values.size();
    facts_.origin.assign(count, Origin::constant);
    facts_.type.assign(count, DataType::undefined);
    facts_.maker.assign(count, nullptr);
    facts_.readers.assign(count, 0);
    for (std::size_t i = 0; i < count; ++i) {
      if (graph.values[i].type) facts_.type[i] = graph.values[i].type->element;
    }
  }

  ValueFacts find() {
    visit(graph_.block);
    return std::move(facts_);
  }

 private:
  void visit(const Block& block) {
    for (const ValueId id : block.inputs) at(facts_.origin, id) = Origin::data;
    for (const Node& node : block.nodes) {
      for (const ValueId id : node.inputs) count_reader(id);
      Origin origin = origin_of(node);
      for (const auto& [name, inner] : node.blocks) {
        visit(inner);
        for (const ValueId id : inner.outputs) origin = std::max(origin, at(facts_.origin, id));
      }
      for (const ValueId id : node.outputs) {
        if (id == kNoValue) continue;
        at(facts_.maker, id) = &node;
        at(facts_.origin, id) = origin;
        DataType& type = at(facts_.type, id);
        if (type == DataType::undefined) type = type_of(node, id);
      }
    }
    for (const ValueId id : block.outputs) count_reader(id);
  }

  void count_reader(ValueId id) {
    if (id != kNoValue) ++at(facts_.readers, id);
  }

  Origin origin_of(const Node& node) const {
    Origin origin = Origin::constant;
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) origin = std::max(origin, ValueFacts::of(facts_.origin, id));
    }
    const bool asks_for_sizes = node.op_type == "Shape" || node.op_type == "Size";
    return asks_for_sizes ? std::min(origin, Origin::shape) : origin;
  }

  DataType input_type(const Node& node, std::size_t index) const {
    return index < node.inputs.size() && node.inputs[index] != kNoValue
               ? ValueFacts::of(facts_.type, node.inputs[index])
               : DataType::undefined;
  }

  // Undefined where the node does not say it.
  static DataType told(const Node& node, std::string_view attribute) {
    const Attribute* found = find_attribute(node, attribute);
    return found != nullptr ? static_cast<DataType>(found->i) : DataType::undefined;
  }

  DataType type_of(const Node& node, ValueId output) const {
    if (is_one_of(kBooleans, node.op_type)) return DataType::boolean;
    if (is_one_of(kIntegers, node.op_type)) return DataType::i64;
    if (is_one_of(kSums, node.op_type)) return DataType::i32;
    if (node.op_type == "Cast") return told(node, "to");
    if (node.op_type == "ConstantOfShape") {
      const Attribute* value = find_attribute(node, "value");
      return value != nullptr && !value->tensors.empty() ? value->tensors[0].type : DataType::f32;
    }
    if (node.op_type == "QuantizeLinear") {
      const DataType type = told(node, "output_dtype");
      if (type != DataType::undefined) return type;
      return node.inputs.size() > 2 ? input_type(node, 2) : DataType::u8;
    }
    if (node.op_type == "DequantizeLinear") {
      const DataType type = told(node, "output_dtype");
      return type != DataType::undefined ? type : input_type(node, 1);
    }
    if (node.op_type == "QLinearConv" || node.op_type == "QLinearMatMul") {
      return input_type(node, 7);
    }
    if (node.op_type == "QGemm") {
      return node.inputs.size() > 8 ? input_type(node, 8) : DataType::f32;
    }
    if (node.op_type == "DynamicQuantizeLinear") {
      return node.outputs.size() > 1 && output == node.outputs[1] ? DataType::f32 : DataType::u8;
    }
    if (is_second_of(node, output)) return DataType::i64;  // indices, or counts
    if (node.op_type == "Where" || node.op_type == "CastLike") return input_type(node, 1);
    if (node.op_type == "OneHot") return input_type(node, 2);
    if (!node.blocks.empty()) return type_of_block(node, output);
    return input_type(node, 0);
  }

  static std::size_t place_of(const Node& node, ValueId output) {
    const auto found = std::find(node.outputs.begin(), node.outputs.end(), output);
    return static_cast<std::size_t>(found - node.outputs.begin());
  }

  static bool is_second_of(const Node& node, ValueId output) {
    const bool has_indices =
        node.op_type == "TopK" || node.op_type == "MaxPool" || node.op_type == "Unique";
    return has_indices && place_of(node, output) > 0;
  }

  // A branch gives what the node gives; the body of a Loop its condition first.
  DataType type_of_block(const Node& node, ValueId output) const {
    const std::vector<ValueId>& given = node.blocks.front().block.outputs;
    const std::size_t place = place_of(node, output) + (node.op_type == "Loop" ? 1 : 0);
    return place < given.size() ? ValueFacts::of(facts_.type, given[place]) : DataType::undefined;
  }

  template <class T>
  static typename std::vector<T>::reference at(std::vector<T>& facts, ValueId id) {
    return facts[static_cast<std::size_t>(id)];
  }

  const Graph& graph_;
  ValueFacts facts_;
};

}  // namespace

ValueFacts facts_of(const Graph& graph) { return FactFinder(graph).find(); }

}  // namespace tensorquant::onnx
